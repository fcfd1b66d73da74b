import { Errors } from "moleculer";

/** A service's failures: stable UPPER_SNAKE type -> HTTP status and a message that is safe to show to a client. */
export type ErrorTable = Readonly<Record<string, readonly [status: number, message: string]>>;

/**
 * Turns a table of failures into the function that makes them.
 * @example throw noteError("NOTE_NOT_FOUND", { note_id: 7 })
 */
export function errorTable<const Table extends ErrorTable>(table: Table) {
	return (type: keyof Table & string, data?: unknown): Errors.MoleculerClientError => {
		const [status, message] = table[type] as readonly [number, string];
		return new Errors.MoleculerClientError(message, status, type, data);
	};
}

/**
 * Says whether an error is of a type. Errors are matched by `type`, never by `instanceof`: a class does not survive the
 * way from one node to another, the type does.
 */
export function hasType(error: unknown, type: string): boolean {
	return typeof error === "object" && error !== null && (error as { type?: unknown }).type === type;
}

/** moleculer's types for "no node can serve this now"; their codes say 404, 429 and others. */
const UNAVAILABLE = new Set([
	"SERVICE_NOT_FOUND",
	"SERVICE_NOT_AVAILABLE",
	"ERR_SERVICE_UNAVAILABLE",
	"BAD_GATEWAY",
	"REQUEST_REJECTED",
	"QUEUE_FULL"
]);

/** Whether a call failed since no node could serve it now. */
export function isUnavailable(error: unknown): boolean {
	const type = typeof error === "object" && error !== null ? (error as { type?: unknown }).type : undefined;
	return typeof type === "string" && UNAVAILABLE.has(type);
}

/** Whether a failure says nothing about the request itself: the service was away, late or broken. */
export function isFault(error: unknown): boolean {
	const code = Number((error as { code?: unknown } | null)?.code);
	return isUnavailable(error) || !(code >= 400 && code < 500);
}

/** One broken rule of one field, as moleculer's validator reports it. */
export interface FieldError {
	field: string;
	type: string;
	message: string;
}

/** The error for parameters that a schema cannot judge alone, in the form in which moleculer's validator reports its own. */
export function validationError(errors: FieldError[]): Errors.ValidationError {
	return new Errors.ValidationError("Parameters validation error!", "VALIDATION_ERROR", errors);
}

/** The same for a single field (a cursor's content, two fields that exclude each other). */
export function fieldError(field: string, type: string, message: string): Errors.ValidationError {
	return validationError([{ field, type, message }]);
}

/** So many broken rules are told of one request: a body of a hundred thousand unknown fields is not answered with megabytes. */
export const MAX_FIELD_ERRORS = 100;
const MAX_NAME = 128;

/** The broken rule of a field that a schema does not know. */
export function unknownField(name: string): FieldError {
	const field = name.slice(0, MAX_NAME).toWellFormed();
	return { field, type: "objectStrict", message: `The '${field}' field is not known here.` };
}
