import { QueryTypes, type Sequelize, type Transaction, UniqueConstraintError } from "sequelize";
import { nowOf } from "../db/clock.ts";

interface Key {
	owner: string;
	key_hash: string;
}

/** The first call with a key. */
interface First<T> {
	fingerprint: string;
	result: T;
}

const IS_KEY = "owner = :owner AND key_hash = :key_hash";

/** The table `idempotency_keys`. Each row is written in the transaction whose repetition it prevents. */
export class IdempotencyKeys {
	readonly #db: Sequelize;
	readonly #now: string;

	constructor(db: Sequelize) {
		this.#db = db;
		this.#now = nowOf(db);
	}

	/**
	 * Takes a key for this transaction, waiting for another one that has it.
	 * @returns whether it is new. A plain INSERT: INSERT IGNORE would hide other faults
	 */
	async take(key: Key, fingerprint: string, transaction: Transaction): Promise<boolean> {
		try {
			await this.#db.query(
				`INSERT INTO idempotency_keys (owner, key_hash, fingerprint, created_at)
				VALUES (:owner, :key_hash, :fingerprint, ${this.#now})`,
				{ replacements: { ...key, fingerprint }, type: QueryTypes.INSERT, transaction }
			);
			return true;
		} catch (error) {
			if (error instanceof UniqueConstraintError) return false;
			throw error;
		}
	}

	async remember(key: Key, result: unknown, transaction: Transaction): Promise<void> {
		await this.#db.query(`UPDATE idempotency_keys SET result = :result WHERE ${IS_KEY}`, {
			replacements: { ...key, result: JSON.stringify(result ?? null) },
			type: QueryTypes.UPDATE,
			transaction
		});
	}

	async read<T>(key: Key, transaction: Transaction): Promise<First<T>> {
		const [row] = await this.#db.query<{ fingerprint: string; result: string }>(
			`SELECT fingerprint, result FROM idempotency_keys WHERE ${IS_KEY}`,
			{ replacements: { ...key }, type: QueryTypes.SELECT, transaction }
		);
		const { fingerprint, result } = row as { fingerprint: string; result: string };
		return { fingerprint, result: JSON.parse(result) };
	}

	/** Removes keys that are older than `age` milliseconds, at most `limit`. @returns how many */
	async prune(age: number, limit: number): Promise<number> {
		const rows = await this.#db.query<Key>(
			`SELECT owner, key_hash FROM idempotency_keys WHERE created_at < ${this.#now} - :age ORDER BY created_at LIMIT :limit`,
			{ replacements: { age, limit }, type: QueryTypes.SELECT }
		);
		for (const key of rows)
			await this.#db.query(`DELETE FROM idempotency_keys WHERE ${IS_KEY}`, { replacements: { ...key } });
		return rows.length;
	}
}
