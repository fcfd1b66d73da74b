import type { Sequelize, Transaction } from "sequelize";

/**
 * What a saga needs of the service that it lives in. A service with this project's DB mixin has both. Elsewhere,
 * `transaction` must use READ COMMITTED on MySQL, serialise the writers of this process on SQLite, and run the work
 * again after a deadlock or a lock wait time-out (1213, 1205): duplicates that meet in a barrier do deadlock.
 */
export interface Database {
	db: Sequelize;
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
}

/**
 * Refuses a service without a database at its start: with a TypeError, or at its first branch only, it would not say what to do.
 * @throws Error that names the service and the mixin
 */
export function assertDatabase({ name, db, transaction }: Partial<Database> & { name: string }, mixin: string): void {
	if (!db || !transaction)
		throw new Error(`Service '${name}': ${mixin} needs 'db' and 'transaction', as the DB mixin gives them`);
}

/** The database's clock in SQL. No other clock is ever compared with a stored time. */
export interface Clock {
	/** Now, in UTC to the millisecond. */
	now: string;
	/** A time from now. @param milliseconds an SQL expression */
	after(milliseconds: string): string;
	/** Milliseconds from now until a time. @param time an SQL expression */
	until(time: string): string;
}

const mysql: Clock = {
	now: "UTC_TIMESTAMP(3)",
	after: milliseconds => `UTC_TIMESTAMP(3) + INTERVAL ${milliseconds} * 1000 MICROSECOND`,
	until: time => `TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), ${time}) / 1000`
};

const FORMAT = "'%Y-%m-%d %H:%M:%f'";
const sqlite: Clock = {
	now: `strftime(${FORMAT}, 'now')`,
	after: milliseconds => `strftime(${FORMAT}, 'now', (${milliseconds} / 1000.0) || ' seconds')`,
	until: time => `(julianday(${time}) - julianday('now')) * 86400000`
};

export function clockOf(db: Sequelize): Clock {
	return db.getDialect() === "sqlite" ? sqlite : mysql;
}

/** A stored time as ISO 8601. MySQL's driver gives a Date, SQLite text. */
export function isoTime(time: Date | string): string;
export function isoTime(time: Date | string | null): string | null;
export function isoTime(time: Date | string | null): string | null {
	if (time === null) return null;
	return typeof time === "string" ? `${time.replace(" ", "T")}Z` : time.toISOString();
}
