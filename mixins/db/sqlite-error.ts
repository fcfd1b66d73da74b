/** Primary result codes by number, https://www.sqlite.org/rescode.html */
const names = [
	"OK",
	"ERROR",
	"INTERNAL",
	"PERM",
	"ABORT",
	"BUSY",
	"LOCKED",
	"NOMEM",
	"READONLY",
	"INTERRUPT",
	"IOERR",
	"CORRUPT",
	"NOTFOUND",
	"FULL",
	"CANTOPEN",
	"PROTOCOL",
	"EMPTY",
	"SCHEMA",
	"TOOBIG",
	"CONSTRAINT",
	"MISMATCH",
	"MISUSE",
	"NOLFS",
	"AUTH",
	"FORMAT",
	"RANGE",
	"NOTADB"
];

const BUSY = 5;
const BUSY_SNAPSHOT = 517;

/**
 * Constraint violations that Sequelize would take for a duplicate key if they carried the plain SQLITE_CONSTRAINT:
 * under their own names they become a DatabaseError, as they do on MySQL.
 */
const otherConstraints: Record<number, string> = { 275: "SQLITE_CONSTRAINT_CHECK", 1299: "SQLITE_CONSTRAINT_NOTNULL" };

/** An error with the `code`, `errno` and message that the `sqlite3` package gives and Sequelize reads. */
export class SqliteError extends Error {
	readonly code: string;
	readonly errno: number;

	/**
	 * @param errcode SQLite's result code, extended or primary
	 * @param text what happened
	 */
	constructor(errcode: number, text: string, options?: ErrorOptions) {
		const errno = errcode & 0xff;
		const name = `SQLITE_${names[errno] ?? "ERROR"}`;
		super(`${name}: ${text}`, options);
		this.code = otherConstraints[errcode] ?? name;
		this.errno = errno;
	}
}

function resultCode(error: unknown): number | undefined {
	if (!(error instanceof Error) || !("errcode" in error)) return undefined;
	return typeof error.errcode === "number" ? error.errcode : undefined;
}

/**
 * Whether another process holds the lock and waiting can help. BUSY_SNAPSHOT is not meant: a read transaction whose
 * snapshot is out of date stays out of date, however long it waits.
 */
export function isBusy(error: unknown): boolean {
	const code = resultCode(error);
	return code !== undefined && (code & 0xff) === BUSY && code !== BUSY_SNAPSHOT;
}

/** Turns an error of `node:sqlite` into the shape Sequelize expects; any other error is handed back as it is. */
export function toSqliteError(error: unknown): unknown {
	const code = resultCode(error);
	return code === undefined || !(error instanceof Error)
		? error
		: new SqliteError(code, error.message, { cause: error });
}
