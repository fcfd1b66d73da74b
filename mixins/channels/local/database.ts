import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from "node:sqlite";

/**
 * Survives the end of the process at any moment; the end of the machine may cost the last commits, as in JetStream. What
 * was written is moved into the database by 250 pages, 2 ms at a time in which the process does nothing else; SQLite's
 * own 1000 take 6.
 */
const SETTINGS =
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 250";

/** A statement and the names of its result's columns, which stay: nobody changes the tables. */
interface Prepared {
	statement: StatementSync;
	columns: string[];
}

/** A database in a file, with statements that are prepared once. All calls are synchronous. */
export class LocalDatabase {
	readonly #database: DatabaseSync;
	readonly #prepared = new Map<string, Prepared>();

	/**
	 * @param file is created with its folder where missing
	 * @param tables what creates the tables where they are missing
	 */
	constructor(file: string, tables: string) {
		mkdirSync(dirname(file), { recursive: true });
		this.#database = new DatabaseSync(file);
		this.#database.exec(SETTINGS);
		this.#database.exec(tables);
	}

	close(): void {
		this.#database.close();
	}

	/** Runs a function in a transaction, which is undone when it throws. */
	transaction<T>(work: () => T): T {
		this.#database.exec("BEGIN IMMEDIATE");
		try {
			const result = work();
			this.#database.exec("COMMIT");
			return result;
		} catch (error) {
			this.#database.exec("ROLLBACK");
			throw error;
		}
	}

	/** Runs a statement that writes. @returns the number of rows that it changed */
	run(sql: string, ...values: SQLInputValue[]): number {
		return Number(this.#prepare(sql).statement.run(...values).changes);
	}

	all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
		const { statement, columns } = this.#prepare(sql);
		return (statement.all(...values) as unknown[]).map(row => named<Row>(columns, row));
	}

	/** The first row of a result. */
	get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
		const { statement, columns } = this.#prepare(sql);
		const row: unknown = statement.get(...values);
		return row === undefined ? undefined : named<Row>(columns, row);
	}

	#prepare(sql: string): Prepared {
		const known = this.#prepared.get(sql);
		if (known) return known;
		const statement = this.#database.prepare(sql);
		// Each row that is an object has a hidden class of its own, which stays until V8's next major collection.
		statement.setReturnArrays(true);
		const prepared = { statement, columns: statement.columns().map(({ name }) => name) };
		this.#prepared.set(sql, prepared);
		return prepared;
	}
}

/** @param row what node:sqlite gives after `setReturnArrays`, which its types do not know */
function named<Row>(columns: readonly string[], row: unknown): Row {
	const values = row as SQLOutputValue[];
	const object: Record<string, SQLOutputValue> = {};
	for (const [i, name] of columns.entries()) object[name] = values[i] as SQLOutputValue;
	return object as Row;
}
