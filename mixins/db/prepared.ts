import DataLoader from "dataloader";
import type { Connection, QueryError } from "mysql2";
import type { Sequelize, Transaction } from "sequelize";
import { observerOf, type Statement, type StatementEnd, statementOf } from "./statement.ts";

/** A value of a placeholder; a Date is stored as Sequelize stores it. */
export type Value = string | number | null | Date;

/** What a statement that writes did. */
export interface Written {
	/** How many rows it found. */
	rows: number;
	/** The id that the database gave to the row that it inserted. */
	id: number;
}

/**
 * Statements on Sequelize's own connections and in its transactions, prepared once per connection, without its query
 * builder and models: for the few statements that most requests need. `?` stands for a value. They are observed, and
 * they fail, as Sequelize's own do.
 */
export interface Statements {
	select<Row extends object>(sql: string, values: readonly Value[], transaction?: Transaction): Promise<Row[]>;
	write(sql: string, values: readonly Value[], transaction?: Transaction): Promise<Written>;
	/**
	 * Adds a row. Rows that are added at the same time in one transaction go in one statement, where the database tells the
	 * id of each: MariaDB does.
	 * @param into `INSERT INTO <table> (<columns>)`
	 * @param row the values' places, e.g. `(?, ?, 1)`
	 * @returns the row's id
	 */
	insert(into: string, row: string, values: readonly Value[], transaction: Transaction): Promise<number>;
	/**
	 * Adds to the number that a table keeps for an id, which begins at 0. What is added at the same time in one transaction
	 * goes in one statement, in the order of the ids: transactions that add to the same numbers wait, but not for each other.
	 */
	add(total: Total, id: number, by: number, transaction: Transaction): Promise<void>;
	/** A statement that can not be prepared and has no values; MySQL only. */
	control(sql: string, transaction: Transaction): Promise<Written>;
}

/** A table that keeps a number for each id, by the names of its columns. */
export interface Total {
	table: string;
	/** The primary key. */
	id: string;
	number: string;
}

/** What Sequelize's types leave out. */
interface Internals {
	options: { logging?: false | ((sql: string) => void) };
	connectionManager: { getConnection(): Promise<unknown>; releaseConnection(connection: unknown): void };
	dialect: {
		Query: new (
			connection: unknown,
			sequelize: unknown,
			options: object
		) => { formatError(error: unknown, stack?: string): Error };
	};
}

/** A connection of `sqlite-module.ts`. */
interface SqliteConnection {
	all(sql: string, values: unknown[], callback: (error: unknown, rows: object[]) => void): void;
	run(
		sql: string,
		values: unknown[],
		callback: (this: { lastID: number; changes: number }, error: unknown) => void
	): void;
}

/** Runs one statement on one connection; resolves to rows or to what was written. */
type Run = (connection: never, sql: string, values: readonly Value[]) => Promise<object[] | Written>;

/**
 * The rows that a transaction is about to add, by table. With the transaction itself: a WeakMap that has grown old lets
 * its values, and what they refer to, outlive V8's minor collections.
 */
const ADDING = Symbol("rows to add");
type Loaders = Map<string, DataLoader<readonly Value[], number>>;
type Adding = Transaction & { [ADDING]?: Loaders };
type Load = (rows: readonly (readonly Value[])[]) => Promise<number[]>;

/** Bounds the number of statements that a connection has prepared: there is one for each number of rows. */
const ROWS_AT_ONCE = 32;

/** Makes the {@link Statements} of a Sequelize instance. */
export function statements(db: Sequelize): Statements {
	const { connectionManager, dialect, options } = db as unknown as Internals;
	const isSqlite = db.getDialect() === "sqlite";
	const run: Run = isSqlite ? runOnSqlite : runOnMysql;
	const observer = observerOf(db);
	/** SQL texts hold no values, so there are few different ones: the map needs no limit. */
	const seen = new Map<string, Statement>();

	function described(sql: string): Statement {
		const known = seen.get(sql);
		if (known) return known;
		const statement = statementOf(sql, db.getDialect());
		seen.set(sql, statement);
		return statement;
	}

	async function observed<T>(sql: string, send: () => Promise<T>, ended: (result: T) => StatementEnd): Promise<T> {
		const end = observer?.(described(sql));
		try {
			const result = await send();
			end?.(ended(result));
			return result;
		} catch (error) {
			end?.({ error });
			throw error;
		}
	}

	async function send(sql: string, values: readonly Value[], transaction?: Transaction, how = run) {
		if (options.logging) options.logging(sql);
		const { connection: own, finished } = (transaction ?? {}) as { connection?: unknown; finished?: string };
		if (finished) throw new Error(`The transaction has ended (${finished}), and its connection is somebody else's`);
		let connection = own;
		try {
			connection ??= await connectionManager.getConnection();
			return await how(connection as never, sql, values);
		} catch (error) {
			throw connection ? new dialect.Query(connection, db, {}).formatError(error) : error;
		} finally {
			if (connection && !own) connectionManager.releaseConnection(connection);
		}
	}

	const execute = (sql: string, values: readonly Value[], transaction?: Transaction, how = run) =>
		observed(
			sql,
			() => send(sql, values, transaction, how),
			result => ({ rows: Array.isArray(result) ? result.length : result.rows })
		);

	async function addRows(into: string, row: string, rows: readonly (readonly Value[])[], transaction: Transaction) {
		if (!isMariadb(transaction)) {
			const sql = `${into} VALUES ${row}`;
			const ids: number[] = [];
			for (const values of rows) ids.push(((await send(sql, values, transaction)) as Written).id);
			return ids;
		}
		const places = Array(rows.length).fill(row).join(", ");
		const added = await send(`${into} VALUES ${places} RETURNING id`, rows.flat(), transaction);
		// Ids are given in the order of the rows, which the answer need not have.
		return (added as { id: number }[]).map(({ id }) => id).sort((a, b) => a - b);
	}

	async function addNumbers(
		{ table, id, number }: Total,
		rows: readonly (readonly Value[])[],
		transaction: Transaction
	) {
		const sums = new Map<number, number>();
		for (const [key, by] of rows as [number, number][]) sums.set(key, (sums.get(key) ?? 0) + by);
		const sorted = [...sums].sort(([a], [b]) => a - b);
		const onKnown = isSqlite
			? `ON CONFLICT (${id}) DO UPDATE SET ${number} = ${number} + excluded.${number}`
			: `ON DUPLICATE KEY UPDATE ${number} = ${number} + VALUES(${number})`;
		const places = Array(sorted.length).fill("(?, ?)").join(", ");
		await send(`INSERT INTO ${table} (${id}, ${number}) VALUES ${places} ${onKnown}`, sorted.flat(), transaction);
		return rows.map(([key]) => key as number);
	}

	/** Collects rows until nobody in this turn of the event loop adds another one. @param into what they have in common */
	function collect(into: string, row: readonly Value[], transaction: Adding, load: Load): Promise<number> {
		const tables: Loaders = transaction[ADDING] ?? new Map();
		transaction[ADDING] = tables;
		const rows = tables.get(into) ?? new DataLoader(load, { cache: false, maxBatchSize: ROWS_AT_ONCE });
		tables.set(into, rows);
		return rows.load(row);
	}

	return {
		insert: (into, row, values, transaction) =>
			observed(
				into,
				() => collect(into, values, transaction, rows => addRows(into, row, rows, transaction)),
				() => ({ rows: 1 })
			),
		async add(total, id, by, transaction) {
			const into = `INSERT INTO ${total.table}`;
			await observed(
				into,
				() => collect(into, [id, by], transaction, rows => addNumbers(total, rows, transaction)),
				() => ({ rows: 1 })
			);
		},
		select: (sql, values, transaction) => execute(sql, values, transaction) as Promise<never[]>,
		write: (sql, values, transaction) => execute(sql, values, transaction) as Promise<Written>,
		control: (sql, transaction) => execute(sql, [], transaction, controlMysql) as Promise<Written>
	};
}

/** MySQL does not answer the ids of several rows, and the first one does not tell the others on each kind of cluster. */
function isMariadb(transaction: Transaction): boolean {
	const { connection } = transaction as Transaction & { connection?: { isMariadb?: boolean } };
	return connection?.isMariadb === true;
}

function runOnMysql(connection: Connection, sql: string, values: readonly Value[]): Promise<object[] | Written> {
	return new Promise((resolve, reject) => {
		connection.execute(sql, [...values], (error: QueryError | null, result: unknown) => {
			if (error) reject(error);
			else if (Array.isArray(result)) resolve(result);
			else {
				const { affectedRows, insertId } = result as { affectedRows: number; insertId: number };
				resolve({ rows: affectedRows, id: insertId });
			}
		});
	});
}

function controlMysql(connection: Connection, sql: string): Promise<Written> {
	return new Promise((resolve, reject) => {
		connection.query(sql, error => (error ? reject(error) : resolve({ rows: 0, id: 0 })));
	});
}

function runOnSqlite(connection: SqliteConnection, sql: string, values: readonly Value[]): Promise<object[] | Written> {
	const bound = values.map(value => (value instanceof Date ? sqliteTime(value) : value));
	return new Promise((resolve, reject) => {
		if (/^\s*(?:SELECT|WITH)\b/i.test(sql))
			connection.all(sql, bound, (error, rows) => (error ? reject(error) : resolve(rows)));
		else
			connection.run(sql, bound, function (error) {
				if (error) reject(error);
				else resolve({ rows: this.changes, id: this.lastID });
			});
	});
}

/** A time as Sequelize writes it into SQLite, which has no type for it. */
function sqliteTime(time: Date): string {
	return time.toISOString().replace("T", " ").replace("Z", " +00:00");
}
