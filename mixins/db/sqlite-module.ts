import { DatabaseSync, StatementSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { isBusy, SqliteError, toSqliteError } from "./sqlite-error.ts";
import { onlyReads, type Row, readExactRows, readRows, toInputs, type Values } from "./sqlite-values.ts";
import { inTurn } from "./turn.ts";
import { type Release, type WriteLock, writeLockOf } from "./write-lock.ts";

/** Settings of the dialect module. */
export interface SqliteOptions {
	/** SQLite's `synchronous`: FULL (default) survives a power cut, NORMAL may lose the last commits in one. */
	synchronous?: "FULL" | "NORMAL";
	/** How long a write waits for the other writers of this process, in milliseconds. Default 60 000. */
	lockTimeout?: number;
	/** How long a statement waits for a lock that another process holds, in milliseconds. Default 5000. */
	busyTimeout?: number;
}

/** What the callback of a statement finds in `this`: Sequelize looks at the name of the class and at these fields. */
class Statement {
	declare lastID?: number;
	declare changes?: number;
}

const isRollback = (sql: string) => /^\s*ROLLBACK;?\s*$/i.test(sql);

type Callback = (this: Statement, error: unknown, rows?: Row[]) => void;

interface Prepared {
	statement: StatementSync;
	returnsRows: boolean;
}

interface Outcome {
	rows: Row[];
	statement: Statement;
}

const OPEN_READONLY = 1;
const OPEN_READWRITE = 2;
const OPEN_CREATE = 4;
const CACHED_STATEMENTS = 100;
const BUSY = 5;
const MISUSE = 21;
const LONGEST_PAUSE_MS = 50;

/**
 * One connection to a database file, with the methods of the `sqlite3` package's `Database` that Sequelize calls.
 *
 * Statements run synchronously inside SQLite (they are short), waiting never does: a write first takes the file's
 * write lock, which it keeps while a transaction is open; a lock held by another process is asked for again and again.
 * Reads take no lock: in WAL mode they see the last committed state.
 */
class SqliteConnection {
	readonly filename: string;
	/** Sequelize writes the id of the transaction here that owns this connection. */
	uuid?: string;

	readonly #lock: WriteLock;
	readonly #readOnly: boolean;
	readonly #options: Required<SqliteOptions>;
	readonly #prepared = new Map<string, Prepared>();
	#opening?: Promise<DatabaseSync>;
	#handle?: DatabaseSync;
	#unlock?: Release;
	#closed = false;

	constructor(filename: string, mode: number, callback: (error: unknown) => void, options: Required<SqliteOptions>) {
		if (filename === ":memory:")
			throw new SqliteError(
				MISUSE,
				"':memory:' is private to one connection and its transactions would not be isolated; use a file"
			);
		this.filename = filename;
		this.#lock = writeLockOf(filename);
		this.#readOnly = (mode & OPEN_READWRITE) === 0;
		this.#options = options;
		// The file is opened by the first statement and, if that fails, by the next one: Sequelize keeps a connection
		// that failed to open for ever.
		setImmediate(callback, null);
	}

	/** Sequelize asks for one statement after the other on a connection; they run in order of arrival anyway. */
	serialize(callback: () => void): void {
		callback();
	}

	/** Runs a statement; `this` of the callback has `lastID` and `changes`, rows there are none. */
	run(sql: string, values: Values, callback: Callback): void {
		this.#execute(sql, values).then(
			({ statement }) => callback.call(statement, null),
			error => callback.call(new Statement(), error)
		);
	}

	/** Runs a statement and hands its rows to the callback. */
	all(sql: string, ...rest: [Values, Callback] | [Callback]): void {
		const [values, callback] = rest.length === 2 ? rest : [[], rest[0]];
		this.#execute(sql, values).then(
			({ statement, rows }) => callback.call(statement, null, rows),
			error => callback.call(new Statement(), error)
		);
	}

	/** Closes the connection; an open transaction is rolled back and the write lock given back. */
	close(callback?: (error: unknown) => void): void {
		this.#closed = true;
		this.#prepared.clear();
		if (this.#handle?.isOpen) this.#handle.close();
		this.#giveBack();
		if (callback) setImmediate(callback, null);
	}

	async #execute(sql: string, values: Values): Promise<Outcome> {
		// Closing has rolled back what was open.
		if (this.#closed && isRollback(sql)) return { rows: [], statement: new Statement() };
		const handle = await this.#open();
		if (this.#closed) throw new SqliteError(MISUSE, "the connection is closed");
		const release = handle.isTransaction || onlyReads(sql) ? undefined : await this.#takeLock();
		try {
			return await this.#whenFree(() => this.#step(handle, sql, values));
		} finally {
			const inTransaction = handle.isOpen && handle.isTransaction;
			if (!inTransaction) this.#giveBack();
			if (inTransaction && release) this.#unlock = release;
			else release?.();
		}
	}

	#step(handle: DatabaseSync, sql: string, values: Values): Outcome {
		if (this.#closed) throw new SqliteError(MISUSE, "the connection is closed");

		const outcome: Outcome = { rows: [], statement: new Statement() };
		// Sequelize rolls back also when BEGIN failed or SQLite itself has rolled back.
		if (isRollback(sql) && !handle.isTransaction) return outcome;

		const { statement, returnsRows } = this.#prepare(handle, sql);
		const inputs = toInputs(values);
		if (returnsRows) {
			outcome.rows = onlyReads(sql) ? readRows(statement, inputs) : readExactRows(statement, inputs);
		} else {
			const { changes, lastInsertRowid } = statement.run(...inputs);
			outcome.statement.changes = Number(changes);
			outcome.statement.lastID = Number(lastInsertRowid);
		}
		return outcome;
	}

	#prepare(handle: DatabaseSync, sql: string): Prepared {
		let prepared = this.#prepared.get(sql);
		if (prepared) {
			this.#prepared.delete(sql);
		} else {
			// SQLite stops reading a statement at a NUL. Sequelize writes values into some statements as literals, and
			// only there a NUL can stand.
			const statement = handle.prepare(sql.replaceAll("\0", "'||char(0)||'"));
			prepared = { statement, returnsRows: statement.columns().length > 0 };
		}
		this.#prepared.set(sql, prepared);
		const oldest = this.#prepared.keys().next().value;
		if (this.#prepared.size > CACHED_STATEMENTS && oldest !== undefined) this.#prepared.delete(oldest);
		return prepared;
	}

	#open(): Promise<DatabaseSync> {
		this.#opening ??= this.#connect().catch(error => {
			this.#opening = undefined;
			throw error;
		});
		return this.#opening;
	}

	async #connect(): Promise<DatabaseSync> {
		const handle = await this.#whenFree(
			() => new DatabaseSync(this.filename, { timeout: 0, readOnly: this.#readOnly })
		);
		try {
			if (!this.#readOnly) await this.#whenFree(() => handle.exec("PRAGMA journal_mode = WAL"));
			handle.exec(`PRAGMA synchronous = ${this.#options.synchronous}`);
			if (this.#closed) throw new SqliteError(MISUSE, "the connection is closed");
		} catch (error) {
			handle.close();
			throw error;
		}
		this.#handle = handle;
		return handle;
	}

	async #takeLock(): Promise<Release> {
		const release = await this.#lock.acquire(this.#options.lockTimeout);
		if (release) return release;
		throw new SqliteError(
			BUSY,
			`waited ${this.#options.lockTimeout} ms to write to ${this.filename}: a transaction is held open, ` +
				"or a statement that belongs to it was not given it"
		);
	}

	#giveBack(): void {
		this.#unlock?.();
		this.#unlock = undefined;
	}

	async #whenFree<T>(job: () => T): Promise<T> {
		const end = performance.now() + this.#options.busyTimeout;
		for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
			try {
				return await inTurn(job);
			} catch (error) {
				if (!isBusy(error) || performance.now() >= end) throw toSqliteError(error);
			}
			await delay(pause * (0.5 + Math.random()));
		}
	}
}

/** The part of the `sqlite3` package that Sequelize uses. */
export interface SqliteModule {
	OPEN_READONLY: number;
	OPEN_READWRITE: number;
	OPEN_CREATE: number;
	Database: new (filename: string, mode: number, callback: (error: unknown) => void) => SqliteConnection;
}

/**
 * Makes a `dialectModule` for Sequelize's sqlite dialect out of Node's built-in `node:sqlite`, so that nothing has to
 * be compiled or downloaded. Use it with `transactionType: "IMMEDIATE"`.
 *
 * @throws Error where Node's SQLite lacks what is needed
 */
export function sqliteModule(options: SqliteOptions = {}): SqliteModule {
	if (!("columns" in StatementSync.prototype))
		throw new Error(`Node 24 is needed for SQLite: ${process.version} can not tell a statement's columns`);
	const settings = { synchronous: "FULL", lockTimeout: 60_000, busyTimeout: 5_000, ...options } as const;
	return {
		OPEN_READONLY,
		OPEN_READWRITE,
		OPEN_CREATE,
		Database: class extends SqliteConnection {
			constructor(filename: string, mode: number, callback: (error: unknown) => void) {
				super(filename, mode, callback, settings);
			}
		}
	};
}
