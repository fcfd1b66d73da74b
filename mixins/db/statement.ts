import type { Sequelize } from "sequelize";
import { withoutLiterals } from "./redact.ts";

/** One SQL statement, seen from outside. */
export interface Statement {
	/** `mysql` or `sqlite`. */
	dialect: string;
	/** `SELECT`, `INSERT`, `START` ... */
	operation: string;
	/** The first table that it names, empty where there is none. */
	table: string;
	/** The text without any value; lists of values are one `?`. Costs some microseconds. */
	shape(): string;
}

/** How a statement ended: with a number of rows read or written, where known, or with an error. */
export interface StatementEnd {
	rows?: number | undefined;
	error?: unknown;
}

/** Called before a statement waits for a connection; what it answers is called after the statement. */
export type StatementObserver = (statement: Statement) => (end: StatementEnd) => void;

const TABLE = /\b(?:FROM|INTO|UPDATE|TABLE)\s+[`"]?(\w+)/i;
const OPERATION = /^\s*(\w+)/;
/** A number that is a value: not part of a name or a bound parameter, and not inside of quoted names. */
const NUMBER = /`[^`]*`|"[^"]*"|(?<![\w$.])-?(?:0x[\da-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)\b/gi;
const BOUND = /[$:]\w+\b|\bX\?/gi;
const LIST = /\((?:\s*\?\s*,)+\s*\?\s*\)/g;
const ROWS = /\(\?\)(?:\s*,\s*\(\?\))+/g;

/** The shape of a statement: its text with `?` for every value, and one `(?)` for a list of them. */
export function statementShape(sql: string, dialect: string): string {
	return withoutLiterals(sql, dialect === "mysql" ? "mysql" : "sqlite")
		.replace(NUMBER, found => (/^[`"]/.test(found) ? found : "?"))
		.replace(BOUND, "?")
		.replace(LIST, "(?)")
		.replace(ROWS, "(?)")
		.trim();
}

const observers = new WeakMap<Sequelize, StatementObserver>();

/** Who sees the statements of a Sequelize instance. */
export function observerOf(sequelize: Sequelize): StatementObserver | undefined {
	return observers.get(sequelize);
}

/** Lets an observer see every statement of a Sequelize instance. */
export function observeStatements(sequelize: Sequelize, observer: StatementObserver): void {
	observers.set(sequelize, observer);
	const dialect = sequelize.getDialect();
	const query = sequelize.query.bind(sequelize) as (...args: unknown[]) => Promise<unknown>;
	const observedQuery = async (...args: unknown[]) => {
		const end = observer(statementOf(textOf(args[0]), dialect));
		try {
			const result = await query(...args);
			end({ rows: rowsOf(result) });
			return result;
		} catch (error) {
			end({ error });
			throw error;
		}
	};
	Object.assign(sequelize, { query: observedQuery });
}

/** What an observer is told of a statement. */
export function statementOf(sql: string, dialect: string): Statement {
	return {
		dialect,
		operation: (OPERATION.exec(sql)?.[1] ?? "").toUpperCase(),
		table: TABLE.exec(sql)?.[1] ?? "",
		shape: () => statementShape(sql, dialect)
	};
}

function textOf(given: unknown): string {
	return typeof given === "string" ? given : String((given as { query: unknown }).query);
}

/** Sequelize answers rows, one row, a number, or `[result, number]`, by the kind of query. */
function rowsOf(result: unknown): number | undefined {
	if (typeof result === "number") return result;
	if (!Array.isArray(result)) return result === null || result === undefined ? 0 : 1;
	return result.length === 2 && typeof result[1] === "number" ? result[1] : result.length;
}
