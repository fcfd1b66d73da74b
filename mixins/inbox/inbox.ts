import { QueryTypes, type Sequelize, type Transaction, UniqueConstraintError } from "sequelize";
import { nowOf } from "../db/clock.ts";
import { pruneAll } from "../db/prune.ts";

/** What an inbox needs of a message. */
export interface InboxMessage {
	/** The id of the fact, the same in every delivery. */
	id: string;
	headers: Readonly<Record<string, string>>;
}

/** "stale": the effect was there already, or a newer one is. */
export type Applied = "applied" | "stale";

type Work = (transaction: Transaction) => Promise<unknown>;
type RunTransaction = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

/** A message came before the one that it follows: it has to come again. */
export class OutOfOrderError extends Error {
	readonly type = "OUT_OF_ORDER";
	/** Tells the channels not to let the messages of this aggregate wait for this one: the missing one is among them. */
	readonly waitsForOthers = true;

	constructor(aggregate: string, version: number, last: number) {
		super(`Version ${version} of ${aggregate} came, the last one was ${last}`);
		this.name = "OutOfOrderError";
	}
}

/**
 * Makes the effect of a message and the knowledge of it one transaction. The knowledge is written first: whoever comes
 * second then waits for the first to end, and sees what became of it. Tables `inbox` and `inbox_versions`.
 */
export class Inbox {
	readonly #db: Sequelize;
	readonly #transaction: RunTransaction;
	readonly #now: string;

	constructor(db: Sequelize, transaction: RunTransaction) {
		this.#db = db;
		this.#transaction = transaction;
		this.#now = nowOf(db);
	}

	/**
	 * Does the work once for a message, however often the message comes.
	 * @param consumer whose effect it is; each consumer has its own
	 */
	async once(consumer: string, { id }: InboxMessage, work: Work): Promise<Applied> {
		return this.#transaction(async transaction => {
			const isNew = await this.#insert(
				`INSERT INTO inbox (consumer, msg_id, received_at) VALUES (:consumer, :id, ${this.#now})`,
				{ consumer, id },
				transaction
			);
			if (!isNew) return "stale";
			await work(transaction);
			return "applied";
		});
	}

	/**
	 * Does the work when the message's version of its aggregate is newer than all before: for effects where the last one
	 * wins. Versions may be left out.
	 */
	async newer(consumer: string, message: InboxMessage, work: Work): Promise<Applied> {
		const { aggregate, version } = versionOf(message);
		return this.#transaction(async transaction => {
			const values = { consumer, aggregate, version };
			const forward =
				"UPDATE inbox_versions SET version = :version WHERE consumer = :consumer AND aggregate = :aggregate";
			const isNewer =
				(await this.#update(`${forward} AND version < :version`, values, transaction)) ||
				(await this.#insertVersion(values, transaction)) ||
				// Somebody else inserted the row between the two.
				(await this.#update(`${forward} AND version < :version`, values, transaction));
			if (!isNewer) return "stale";
			await work(transaction);
			return "applied";
		});
	}

	/**
	 * Does the work for each version of an aggregate once and in order, beginning with version 1.
	 * @throws OutOfOrderError while the version before is missing
	 */
	async inOrder(consumer: string, message: InboxMessage, work: Work): Promise<Applied> {
		const { aggregate, version } = versionOf(message);
		return this.#transaction(async transaction => {
			const values = { consumer, aggregate, version };
			const isNext =
				version === 1
					? await this.#insertVersion(values, transaction)
					: await this.#update(
							`UPDATE inbox_versions SET version = :version
							WHERE consumer = :consumer AND aggregate = :aggregate AND version = :version - 1`,
							values,
							transaction
						);
			if (isNext) {
				await work(transaction);
				return "applied";
			}
			const [row] = await this.#db.query<{ version: number }>(
				"SELECT version FROM inbox_versions WHERE consumer = :consumer AND aggregate = :aggregate",
				{ replacements: values, type: QueryTypes.SELECT, transaction }
			);
			const last = Number(row?.version ?? 0);
			if (last < version) throw new OutOfOrderError(aggregate, version, last);
			return "stale";
		});
	}

	/** Forgets all message ids that are older than `age` milliseconds. @returns how many */
	prune(age: number): Promise<number> {
		return pruneAll(limit => this.#prune(age, limit));
	}

	async #prune(age: number, limit: number): Promise<number> {
		const rows = await this.#db.query<{ consumer: string; msg_id: string }>(
			`SELECT consumer, msg_id FROM inbox WHERE received_at < ${this.#now} - :age ORDER BY received_at LIMIT :limit`,
			{ replacements: { age, limit }, type: QueryTypes.SELECT }
		);
		for (const row of rows)
			await this.#db.query("DELETE FROM inbox WHERE consumer = :consumer AND msg_id = :msg_id", {
				replacements: { ...row }
			});
		return rows.length;
	}

	#insertVersion(values: { consumer: string; aggregate: string; version: number }, transaction: Transaction) {
		return this.#insert(
			"INSERT INTO inbox_versions (consumer, aggregate, version) VALUES (:consumer, :aggregate, :version)",
			values,
			transaction
		);
	}

	/** @returns false where the row is there. A plain INSERT: INSERT IGNORE would also cut a long id and find it twice. */
	async #insert(sql: string, replacements: object, transaction: Transaction): Promise<boolean> {
		try {
			await this.#db.query(sql, { replacements: { ...replacements }, type: QueryTypes.INSERT, transaction });
			return true;
		} catch (error) {
			if (error instanceof UniqueConstraintError) return false;
			throw error;
		}
	}

	async #update(sql: string, replacements: object, transaction: Transaction): Promise<boolean> {
		const options = { replacements: { ...replacements }, type: QueryTypes.BULKUPDATE, transaction };
		return ((await this.#db.query(sql, options)) as unknown as number) === 1;
	}
}

function versionOf({ headers }: InboxMessage): { aggregate: string; version: number } {
	const { aggregate } = headers;
	const version = Number(headers.version);
	if (aggregate && Number.isSafeInteger(version) && version > 0) return { aggregate, version };
	throw Object.assign(new Error("The message names no aggregate or no version"), { retryable: false });
}
