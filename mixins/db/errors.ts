import { Errors } from "moleculer";
import {
	BulkRecordError,
	ConnectionError,
	DatabaseError,
	type Model,
	type ModelStatic,
	AggregateError as SeveralErrors,
	UniqueConstraintError,
	ValidationError,
	type ValidationErrorItem
} from "sequelize";

/**
 * Translates what goes wrong in a generic action into errors that keep their meaning on the way to another node, where
 * only message, code, type and data arrive:
 *
 * - no such row: 404 `ENTITY_NOT_FOUND` (moleculer-db's own 404 has no type)
 * - a unique column has that value already: 409 `ENTITY_EXISTS`, `data.fields`
 * - a value that the model refuses: 422 `VALIDATION_ERROR`, `data` is a list of `{ field, type, message }`
 *
 * Everything else is handed back as it is.
 *
 * @param model the one of the action
 */
export function toActionError(error: unknown, model: ModelStatic<Model>): unknown {
	if (error instanceof Errors.MoleculerClientError && error.code === 404 && !error.type)
		return new Errors.MoleculerClientError(error.message, 404, "ENTITY_NOT_FOUND", error.data);

	if (error instanceof UniqueConstraintError)
		return new Errors.MoleculerClientError("Entity exists already", 409, "ENTITY_EXISTS", {
			fields: error.errors.flatMap(({ path }) => columnsOf(path, model))
		});

	const refused = refusedValues(error);
	if (refused.length > 0)
		return new Errors.ValidationError(
			"Entity validation error!",
			"VALIDATION_ERROR",
			refused.map(({ path, validatorKey, message }) => ({ field: path, type: validatorKey, message }))
		);

	return error;
}

/** What the model refused of a row, or of each of several. */
function refusedValues(error: unknown): ValidationErrorItem[] {
	if (error instanceof ValidationError) return error.errors;
	if (error instanceof SeveralErrors) return error.errors.flatMap(refusedValues);
	return error instanceof BulkRecordError ? refusedValues(error.errors) : [];
}

/** The columns of what an error calls a unique column: MySQL names the index. */
function columnsOf(name: string | null, { options, primaryKeyAttributes }: ModelStatic<Model>): unknown[] {
	if (name === "PRIMARY") return [...primaryKeyAttributes];
	const fields = options.indexes?.find(index => index.unique && index.name === name)?.fields ?? [name];
	return fields.map(field => (field !== null && typeof field === "object" && "name" in field ? field.name : field));
}

/** SQLite's codes for a file that is locked by another process, out of reach, unreadable or on a full disk. */
const SQLITE_AWAY = new Set(["SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL"]);

/**
 * MySQL's codes for a server that answers and can not do its work for now: its disk or a table is full, or it is read-only,
 * as the old primary is during a failover.
 */
const MYSQL_AWAY = new Set([
	"ER_DISK_FULL",
	"ER_RECORD_FILE_FULL",
	"ER_OPTION_PREVENTS_STATEMENT",
	"ER_READ_ONLY_MODE"
]);

/** Whether an error means that the database is away or can not work for now, as opposed to a statement that it refused. */
export function isAway(error: unknown): boolean {
	if (error instanceof ConnectionError) return true;
	if (!(error instanceof DatabaseError)) return false;
	// mysql2 calls an error fatal when its connection is gone with it.
	const { code, fatal } = error.parent as { code?: string; fatal?: boolean };
	return fatal === true || SQLITE_AWAY.has(code ?? "") || MYSQL_AWAY.has(code ?? "");
}

/** 503 `DATABASE_UNAVAILABLE`: the database is away, and may be back in a moment. */
export function databaseUnavailable(): Errors.MoleculerError {
	return new Errors.MoleculerError("The database does not answer", 503, "DATABASE_UNAVAILABLE");
}
