import { type FieldError, isUnavailable, MAX_FIELD_ERRORS } from "../../lib/errors.ts";

/** The codes of the HTTP contract. */
export const Code = {
	Success: 0,
	ServiceErr: 10001,
	ParamErr: 10002,
	UserAlreadyExistErr: 10003,
	AuthorizationFailedErr: 10004,
	ForbiddenErr: 10005,
	NotFoundErr: 10006,
	TooManyRequestsErr: 10007,
	ConflictErr: 10008
} as const;

/** The body of every answer. */
export interface Envelope {
	code: number;
	message: string;
	data: unknown;
}

export function success(data: unknown): Envelope {
	return { code: Code.Success, message: "Success", data: data ?? null };
}

/** The HTTP form of a failure. */
export interface Failure {
	status: number;
	body: Envelope;
	headers: Record<string, string>;
}

/** What an error may carry, wherever it comes from: moleculer, another node, or the body parser. */
interface AnyError {
	code?: unknown;
	status?: unknown;
	type?: unknown;
	message?: unknown;
	data?: unknown;
}

/** What one code of the contract is told by; the first row that fits wins. */
const byType: Readonly<Record<string, number>> = { USERNAME_TAKEN: Code.UserAlreadyExistErr };
const byStatus: Readonly<Record<number, number>> = {
	400: Code.ParamErr,
	413: Code.ParamErr,
	415: Code.ParamErr,
	422: Code.ParamErr,
	401: Code.AuthorizationFailedErr,
	403: Code.ForbiddenErr,
	404: Code.NotFoundErr,
	405: Code.NotFoundErr,
	409: Code.ConflictErr,
	429: Code.TooManyRequestsErr
};

const opaque: Readonly<Record<number, string>> = {
	500: "Internal error",
	503: "Service unavailable",
	504: "The service did not answer in time"
};

/** moleculer's type for a call that the time left for its request did not allow any more. */
const TOO_LATE = "REQUEST_SKIPPED";

/**
 * Maps an error to its HTTP form, the one place where this is done. 4xx keep their message; anything else becomes one
 * opaque text, so that no detail of ours leaves the house.
 */
export function failure(error: unknown): Failure {
	const { code, status, type, message, data } = (typeof error === "object" && error !== null ? error : {}) as AnyError;
	const given = type === TOO_LATE ? 504 : Number(typeof code === "number" ? code : status);
	const known = isUnavailable(error) ? 503 : given;

	const envelopeCode = (typeof type === "string" && byType[type]) || byStatus[known];
	if (envelopeCode === undefined) {
		const serverStatus = known in opaque ? known : 500;
		const headers: Record<string, string> = serverStatus === 503 ? { "Retry-After": "1" } : {};
		return {
			status: serverStatus,
			body: { code: Code.ServiceErr, message: opaque[serverStatus] as string, data: null },
			headers
		};
	}
	return {
		status: known,
		body: { code: envelopeCode, message: String(message), data: publicData(envelopeCode, data) },
		headers: known === 401 ? { "WWW-Authenticate": "Bearer" } : {}
	};
}

function publicData(code: number, data: unknown): unknown {
	if (code === Code.ParamErr) return { errors: fieldErrors(data) };
	return code === Code.ConflictErr ? (data ?? null) : null;
}

/** The broken rules, whoever found them, and nothing else that an error may carry. */
function fieldErrors(data: unknown): FieldError[] {
	if (!Array.isArray(data)) return [];
	return (data as FieldError[])
		.slice(0, MAX_FIELD_ERRORS)
		.map(({ field, type, message }) => ({ field, type, message }));
}
