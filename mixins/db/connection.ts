import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Connection, RowDataPacket } from "mysql2";
import { type Options, Sequelize } from "sequelize";
import { parseMysqlUrl } from "./mysql-url.ts";
import { hideValuesInErrors, withoutLiterals } from "./redact.ts";
import { type SqliteOptions, sqliteModule } from "./sqlite-module.ts";
import { observeStatements, type StatementObserver } from "./statement.ts";
import { shortenTransactions } from "./transaction.ts";
import { writeLockOf } from "./write-lock.ts";

/** How connections are made. Of several users of one URL, the first decides. */
export interface ConnectionOptions {
	/** Gets every statement at debug level, with the values taken out. */
	logger?: { debug(message: string): void };
	/** Sees every statement, without its values: for spans, metrics and a log of slow ones. */
	onStatement?: StatementObserver;
	/** MySQL: the most connections of the pool. Default 10. */
	poolSize?: number;
	/** MySQL: how long to wait for a TCP connection and handshake, in milliseconds. Default 5000. */
	connectTimeout?: number;
	/** MySQL: how long a statement waits for a row lock, in seconds. Default 10. */
	lockWaitTimeout?: number;
	/**
	 * MySQL: a connection that has heard nothing from its server for so long is given up, in milliseconds: TCP would wait a quarter
	 * of an hour for a server that went without a word. Longer than any statement takes. Default 60 000.
	 */
	answerTimeout?: number;
	/**
	 * MySQL: after how much silence of ours the server gives a connection up, in seconds, and undoes its transaction: a process
	 * that hangs or was cut off must not keep others from the rows that it has locked. Longer than the 10 s for which the pool
	 * keeps a connection without work, and than any transaction waits for something else. Default 20.
	 */
	silenceTimeout?: number;
	/** How long closing waits for queries that are still running, and before that for a migration, in milliseconds. Default 5000. */
	closeTimeout?: number;
	/** SQLite: see there. */
	sqlite?: SqliteOptions;
}

/** A share of a connection pool. */
export interface SharedConnection {
	sequelize: Sequelize;
	/** Keeps to `answerTimeout` from now on: after migrations, whose statements may take hours. */
	limitSilence(): void;
	/** Gives the share back; the last one closes the pool. Calling it again does nothing. */
	release(): Promise<void>;
}

/** A connection of mysql2, with the socket that its types leave out, and what we have learned of its server. */
type MysqlConnection = Connection & { stream: Socket; isMariadb?: boolean };

interface Pool {
	sequelize: Sequelize;
	users: number;
	limitSilence(): void;
	close(): Promise<void>;
}

/**
 * How rows are read from MySQL: by functions that the driver compiles, with Sequelize's results. Sequelize's own
 * `typeCast` is called for each value of each row, makes mysql2 compile anew for each prepared statement
 * (binary_parser.js writes it into the options that its cache compares), and its spelling of UTC, "+00:00", makes times
 * go through text.
 */
const READING = { typeCast: true, timezone: "Z", dateStrings: ["DATE"] };

/** How long closing waits where the options do not say. */
export const CLOSE_TIMEOUT_MS = 5_000;

const pools = new Map<string, Pool>();

const SQLITE_URL = /^sqlite:(?:\/\/)?(.+)$/;
const IN_MEMORY = ":memory:";

function logging({ logger }: ConnectionOptions, dialect: "mysql" | "sqlite"): Options["logging"] {
	return logger ? sql => logger.debug(withoutLiterals(sql.replace(/^Executing \([^)]*\): /, ""), dialect)) : false;
}

function openSqlite(path: string, options: ConnectionOptions): Pool {
	const storage = path === IN_MEMORY ? join(mkdtempSync(join(tmpdir(), "sqlite-")), "memory.sqlite") : resolve(path);
	const sequelize = new Sequelize({
		dialect: "sqlite",
		dialectModule: sqliteModule(options.sqlite),
		storage,
		// The module switches them on itself, once per connection instead of once per use.
		foreignKeys: false,
		transactionType: "IMMEDIATE" as Options["transactionType"],
		retry: { max: 1 },
		logging: logging(options, "sqlite")
	} as Options);
	hideValuesInErrors(sequelize);
	// Sequelize destroys a connection whose COMMIT failed through a pool that its sqlite dialect does not have: the
	// connection would stay open, and its write lock taken.
	const manager = sequelize.connectionManager as unknown as Record<"destroyConnection" | "releaseConnection", unknown>;
	manager.destroyConnection = manager.releaseConnection;
	return {
		sequelize,
		users: 0,
		limitSilence() {},
		async close() {
			// As a pool of MySQL does: what is being written ends first.
			const release = await writeLockOf(storage).acquire(options.closeTimeout ?? CLOSE_TIMEOUT_MS);
			await sequelize.close();
			release?.();
			if (path === IN_MEMORY) rmSync(dirname(storage), { recursive: true });
		}
	};
}

function openMysql(url: string, options: ConnectionOptions): Pool {
	const { host, port, user: username, password, database, ssl } = parseMysqlUrl(url);
	const sequelize = new Sequelize({
		dialect: "mysql",
		host,
		port,
		username,
		password,
		database,
		timezone: "+00:00",
		pool: { max: options.poolSize ?? 10, acquire: 10_000 },
		retry: { max: 1 },
		define: { charset: "utf8mb4", collate: "utf8mb4_bin" },
		dialectOptions: {
			ssl,
			charset: "utf8mb4",
			supportBigNumbers: true,
			...READING,
			connectTimeout: options.connectTimeout ?? 5_000,
			// An update tells how many rows it matched, as SQLite does, not how many it made different.
			flags: "FOUND_ROWS",
			// All connections of a MySQL server share 16 382 prepared statements; mysql2 would keep 16 000 on each.
			maxPreparedStatements: 200
		},
		logging: logging(options, "mysql")
	});
	hideValuesInErrors(sequelize);

	const connections = new Set<MysqlConnection>();
	const answerTimeout = options.answerTimeout ?? 60_000;
	let isLimited = false;
	const lockWait = Number(options.lockWaitTimeout ?? 10);
	const silence = Number(options.silenceTimeout ?? 20);
	sequelize.addHook("afterConnect", async handle => {
		const connection = handle as MysqlConnection;
		connections.add(connection);
		connection.once("end", () => connections.delete(connection));
		// Those that wait for work are closed by the pool long before.
		connection.stream.setTimeout(answerTimeout, () => {
			if (isLimited) connection.stream.destroy(new Error(`The database has not answered for ${answerTimeout} ms`));
		});
		const session = connection.promise();
		const [[server]] = await session.query<RowDataPacket[]>("SELECT VERSION() AS version");
		connection.isMariadb = /mariadb/i.test(String(server?.version));
		await session.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
		await session.query(
			`SET SESSION innodb_lock_wait_timeout = ${lockWait}, wait_timeout = ${silence}, sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')`
		);
	});

	async function close(): Promise<void> {
		// A server that hangs would hold up the stop of the process for ever. mysql2's `destroy` waits for it, too.
		const timer = setTimeout(() => {
			const reason = new Error("The connection was closed before the database had answered");
			for (const { stream } of connections) stream.destroy(reason);
		}, options.closeTimeout ?? CLOSE_TIMEOUT_MS);
		await sequelize.close();
		clearTimeout(timer);
	}
	const limitSilence = () => {
		isLimited = true;
	};
	return { sequelize, users: 0, limitSilence, close };
}

function open(url: string, options: ConnectionOptions): Pool {
	const pool = openPool(url, options);
	if (options.onStatement) observeStatements(pool.sequelize, options.onStatement);
	if (pool.sequelize.getDialect() === "mysql") shortenTransactions(pool.sequelize);
	return pool;
}

function openPool(url: string, options: ConnectionOptions): Pool {
	const sqlite = SQLITE_URL.exec(url)?.[1];
	return sqlite ? openSqlite(sqlite, options) : openMysql(url, options);
}

/**
 * Gives a share of the connection pool of a URL; the first user makes the pool, the last one who releases closes it.
 * Nothing is sent to the database yet.
 *
 * @param url `sqlite:./data/note.sqlite` (the folder is made), `sqlite::memory:` (a file that vanishes with the last
 * user), `mysql://user:password@host:3306/database` or the same with `mariadb:`; there `?ssl=true` asks for TLS and a valid
 * certificate (see `parseMysqlUrl`)
 */
export function acquire(url: string, options: ConnectionOptions = {}): SharedConnection {
	const pool = pools.get(url) ?? open(url, options);
	pools.set(url, pool);
	pool.users++;
	const { sequelize, limitSilence } = pool;
	return { sequelize, limitSilence, release: once(() => leave(url, pool)) };
}

async function leave(url: string, pool: Pool): Promise<void> {
	if (--pool.users > 0) return;
	pools.delete(url);
	await pool.close();
}

function once(task: () => Promise<void>): () => Promise<void> {
	let done: Promise<void> | undefined;
	return () => (done ??= task());
}
