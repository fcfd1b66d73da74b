import { BaseError, type Sequelize, ValidationError } from "sequelize";

type FailedHook = (row: unknown, options: unknown, error: BaseError) => void;
type Dialect = "mysql" | "sqlite";

/** A statement with every text and binary literal replaced by `?`. */
export function withoutLiterals(sql: string, dialect: Dialect): string {
	// A backslash escapes in MySQL's literals and is an ordinary character in SQLite's. A literal without an end is taken
	// to the end: else it would be looked for again from each quote within.
	return sql.replace(dialect === "mysql" ? /'(?:[^'\\]|\\.|'')*(?:'|$)/gs : /'(?:[^']|'')*(?:'|$)/g, "?");
}

/**
 * Takes the values out of the errors of a Sequelize instance, which end up in logs: literals in `sql`, bound
 * `parameters`, and the row that an error of validation carries (now readable, but not enumerable). The text of a MySQL
 * error may still quote the value of a duplicate key.
 */
export function hideValuesInErrors(sequelize: Sequelize): void {
	const dialect = sequelize.getDialect() as Dialect;
	const query = sequelize.query.bind(sequelize) as (...args: unknown[]) => Promise<unknown>;
	const quietQuery = async (...args: unknown[]) => {
		try {
			return await query(...args);
		} catch (error) {
			if (error instanceof BaseError) hideValues(error, dialect);
			throw error;
		}
	};
	Object.assign(sequelize, { query: quietQuery });
	// A hook that the types leave out.
	const hooks = sequelize as unknown as { addHook(name: "validationFailed", hook: FailedHook): void };
	hooks.addHook("validationFailed", (_row, _options, error) => hideValues(error, dialect));
}

function hideValues(error: BaseError, dialect: Dialect): void {
	const parent = "parent" in error && error.parent instanceof Error ? [error.parent] : [];
	for (const holder of [error, ...parent]) {
		if ("sql" in holder) Object.assign(holder, { sql: withoutLiterals(String(holder.sql), dialect) });
		if ("parameters" in holder) Object.assign(holder, { parameters: undefined });
	}
	for (const item of error instanceof ValidationError ? error.errors : [])
		for (const name of ["instance", "value"]) Object.defineProperty(item, name, { enumerable: false });
}
