import { QueryTypes, type Sequelize, type Transaction, UniqueConstraintError } from "sequelize";
import { nowOf } from "../db/clock.ts";
import { type Statements, statements } from "../db/prepared.ts";
import { takeUpSlice } from "./republish.ts";
import { COLUMNS, type NewRow, numeric, type OutboxRow } from "./row.ts";
import { recordStreams, type StreamRecord } from "./streams.ts";

/** What became of the rows of a batch. */
export interface Outcome {
	published: number[];
	refused: { id: number; error: string; giveUp: boolean }[];
}

/** One step of the relay. */
export interface Step {
	/** The fence, see `claim`. */
	epoch: number;
	/** The lease from now on, in milliseconds. */
	lease: number;
	/** What became of the last batch. */
	outcome: Outcome;
	/** The most rows of the next batch. */
	limit: number;
	/** What the relay knows of its streams. */
	streams: ReadonlyMap<string, StreamRecord>;
}

/** How much waits, for metrics. */
export interface Backlog {
	pending: number;
	/** Age of the oldest pending row in milliseconds, 0 where there is none. */
	age: number;
	/** Rows that were set aside. */
	failed: number;
}

/** The index of what waits; the README says why statements name it. */
const PENDING = "outbox_published_at_id";

/** Nodes may be configured with different leases, though not with ones that differ so much. */
const LONGEST_LEASES = 10;

const FIRST_RELAY =
	"INSERT INTO outbox_relay (name, epoch, owner, lease_until, republish) VALUES ('relay', 0, '', 0, 0)";

/** Runs a function in a transaction: READ COMMITTED on MySQL. */
export type RunTransaction = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

/** The statements of an outbox: tables `outbox`, `outbox_relay` and `outbox_streams` of one database. */
export class OutboxStore {
	readonly #db: Sequelize;
	readonly #transaction: RunTransaction;
	readonly #statements: Statements;
	readonly #now: string;
	/**
	 * What waits is at the end of the table. An optimizer that sees the limit guesses that a walk through the whole table, in
	 * the order of ids, would soon find enough of it.
	 */
	readonly #byPending: string;
	/**
	 * What follows FROM, for the rows that wait. Newer or older code may have left some for streams that this process does not
	 * know: those wait on, and hold up nobody.
	 */
	readonly #pending: string;

	constructor(db: Sequelize, transaction: RunTransaction, streams?: readonly string[]) {
		this.#db = db;
		this.#statements = statements(db);
		this.#transaction = transaction;
		this.#now = nowOf(db);
		this.#byPending = db.getDialect() === "sqlite" ? `INDEXED BY ${PENDING}` : `FORCE INDEX (${PENDING})`;
		const ofKnown = streams ? `AND stream IN (${streams.map(name => db.escape(name)).join(", ")})` : "";
		this.#pending = `outbox ${this.#byPending} WHERE published_at IS NULL AND failed_at IS NULL ${ofKnown}`;
	}

	async insert(row: NewRow, transaction: Transaction): Promise<void> {
		await this.#statements.insert(
			"INSERT INTO outbox (msg_id, stream, subject, aggregate, version, payload, headers, created_at, attempts)",
			`(?, ?, ?, ?, ?, ?, ?, ${this.#now}, 0)`,
			[row.msg_id, row.stream, row.subject, row.aggregate, row.version, row.payload, row.headers],
			transaction
		);
	}

	/**
	 * Takes the lease when nobody has it, or when it ends later than any can that was taken by this clock: then the
	 * database's clock was set back. The number is the fence: whoever had the lease before can not write any more.
	 * @param lease in milliseconds
	 * @returns the epoch, undefined while somebody else is the relay
	 */
	async claim(owner: string, lease: number): Promise<number | undefined> {
		return this.#transaction(async transaction => {
			const [known] = await this.#select<{ name: string }>("SELECT name FROM outbox_relay", {}, transaction);
			if (!known)
				await this.#db.query(FIRST_RELAY, { transaction }).catch(error => {
					// Relays that start together on new tables all find no row, and one of them makes it.
					if (!(error instanceof UniqueConstraintError)) throw error;
				});
			const claimed = await this.#update(
				`UPDATE outbox_relay SET epoch = epoch + 1, owner = :owner, lease_until = ${this.#now} + :lease
				WHERE lease_until < ${this.#now} OR lease_until > ${this.#now} + :longest`,
				{ owner, lease, longest: LONGEST_LEASES * lease },
				transaction
			);
			if (claimed === 0) return undefined;
			const [row] = await this.#select<{ epoch: number }>("SELECT epoch FROM outbox_relay", {}, transaction);
			return Number(row?.epoch);
		});
	}

	/** Gives the lease back, so that the next relay need not wait for its end. */
	async release(epoch: number): Promise<void> {
		await this.#update("UPDATE outbox_relay SET lease_until = 0 WHERE epoch = :epoch", { epoch });
	}

	/** Whether there is something to publish, or a request to publish again. Takes no lock. */
	async hasWork(): Promise<boolean> {
		const rows = await this.#statements.select<{ work: number }>(
			`SELECT 1 AS work FROM ${this.#pending} UNION ALL SELECT 1 FROM outbox_relay WHERE republish > 0 LIMIT 1`,
			[]
		);
		return rows.length > 0;
	}

	/**
	 * One step of the relay in one transaction: renews the lease, writes what became of the last batch, reads the next one
	 * and numbers what has no number yet. Rows are not locked, since only the holder of the lease reads them here; locking
	 * reads would make gap locks, and business transactions would die of them. Every fact waits for each of these round
	 * trips, so none is made that has nothing to say.
	 *
	 * @returns null when the lease is lost: nothing was written
	 */
	async advance({ epoch, lease, outcome, limit, streams }: Step): Promise<OutboxRow[] | null> {
		return this.#transaction(async transaction => {
			const { select, write } = this.#statements;
			const renew = async (where: string) => {
				const sql = `UPDATE outbox_relay SET lease_until = ${this.#now} + ? WHERE epoch = ? AND ${where}`;
				const { rows } = await write(sql, [lease, epoch], transaction);
				return rows === 1;
			};
			const isAgain = !(await renew("republish = 0"));
			if (isAgain && !(await renew("republish > 0"))) return null;

			await this.#settle(outcome, transaction);
			const end = isAgain && (await takeUpSlice(this.#statements, this.#pending, transaction));
			const rows = await select<OutboxRow>(
				`SELECT ${COLUMNS} FROM ${this.#pending} ${end ? "AND id < ?" : ""} ORDER BY id LIMIT ${limit}`,
				end ? [end] : [],
				transaction
			);
			const numbered = await this.#numbered(rows.map(numeric), streams, transaction);
			const changed = outcome.published.length > 0 ? new Map([...streams, ...numbered.streams]) : numbered.streams;
			await recordStreams(this.#statements, changed.values(), transaction);
			return numbered.rows;
		});
	}

	/** Asks the relay to publish everything again that is still kept. */
	async requestRepublish(): Promise<void> {
		await this.#update("UPDATE outbox_relay SET republish = 1");
	}

	/** Gives rows that were set aside another chance. @returns how many */
	async retryFailed(): Promise<number> {
		return this.#update("UPDATE outbox SET failed_at = NULL, attempts = 0 WHERE failed_at IS NOT NULL");
	}

	/** Deletes a few published rows that are older than `age` milliseconds. @returns how many */
	async prune(age: number, limit: number): Promise<number> {
		const rows = await this.#select<{ id: number }>(
			`SELECT id FROM outbox WHERE published_at < ${this.#now} - :age ORDER BY published_at LIMIT :limit`,
			{ age, limit }
		);
		if (rows.length === 0) return 0;
		return this.#update("DELETE FROM outbox WHERE id IN (:ids)", { ids: rows.map(row => row.id) });
	}

	async backlog(): Promise<Backlog> {
		const [row] = await this.#select<Backlog>(
			`SELECT COUNT(*) AS pending, COALESCE(${this.#now} - MIN(created_at), 0) AS age,
				(SELECT COUNT(*) FROM outbox WHERE failed_at IS NOT NULL) AS failed
			FROM outbox ${this.#byPending} WHERE published_at IS NULL AND failed_at IS NULL`
		);
		return { pending: Number(row?.pending), age: Number(row?.age), failed: Number(row?.failed) };
	}

	async #settle({ published, refused }: Outcome, transaction: Transaction): Promise<void> {
		if (published.length > 0) {
			const ids = padded(published);
			const sql = `UPDATE outbox SET published_at = ${this.#now} WHERE id IN (${places(ids.length)})`;
			await this.#statements.write(sql, ids, transaction);
		}
		for (const { id, error, giveUp } of refused)
			await this.#update(
				`UPDATE outbox SET attempts = attempts + 1, last_error = :error, failed_at = ${giveUp ? this.#now : "NULL"}
				WHERE id = :id`,
				{ id, error },
				transaction
			);
	}

	/**
	 * Numbers rows before they are published for the first time: a reader of the stream sees a gap where one is missing.
	 * Nobody but the holder of the lease gives numbers, so it goes on from the last one that it knows.
	 */
	async #numbered(rows: OutboxRow[], known: Step["streams"], transaction: Transaction) {
		const streams = new Map<string, StreamRecord>();
		const fresh = rows.filter(row => row.sequence === 0);
		for (const row of fresh) {
			const { stream } = row;
			const last = streams.get(stream) ?? known.get(stream) ?? { stream, created: "", lastSeq: 0, sequence: 0 };
			row.sequence = last.sequence + 1;
			streams.set(stream, { ...last, sequence: row.sequence });
		}
		if (fresh.length > 0) {
			const changed = padded(fresh);
			const cases = "WHEN ? THEN ? ".repeat(changed.length);
			await this.#statements.write(
				`UPDATE outbox SET sequence = CASE id ${cases}END WHERE id IN (${places(changed.length)})`,
				[...changed.flatMap(row => [row.id, row.sequence]), ...changed.map(row => row.id)],
				transaction
			);
		}
		return { rows, streams };
	}

	#select<Row extends object>(sql: string, replacements = {}, transaction?: Transaction): Promise<Row[]> {
		return this.#db.query<Row>(sql, { replacements, type: QueryTypes.SELECT, transaction });
	}

	/** @returns the number of rows that it found */
	#update(sql: string, replacements = {}, transaction?: Transaction): Promise<number> {
		const type = QueryTypes.BULKUPDATE;
		return this.#db.query(sql, { replacements, type, transaction }) as unknown as Promise<number>;
	}
}

/** As many as the next power of two, by repeating the last: a connection prepares a statement for each number of values. */
function padded<T>(values: readonly T[]): T[] {
	const missing = 2 ** Math.ceil(Math.log2(values.length)) - values.length;
	return [...values, ...Array<T>(missing).fill(values.at(-1) as T)];
}

/** Places for so many values. */
function places(count: number): string {
	return Array(count).fill("?").join(", ");
}
