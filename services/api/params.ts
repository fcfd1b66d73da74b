import type { IncomingMessage } from "node:http";
import { fieldError } from "../../lib/errors.ts";
import { apiError } from "./api.contract.ts";

type Params = Record<string, unknown>;

const WITH_BODY: readonly string[] = ["POST", "PUT"];
const JSON_TYPE = /^application\/json\s*(;|$)/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(;|$)/i;

/**
 * Refuses a body that a route does not take, before anything reads it.
 * @throws UNSUPPORTED_MEDIA_TYPE
 */
export function checkMediaType(req: IncomingMessage, route: { method: string; form?: true }): void {
	const hasBody = req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > 0;
	if (!hasBody || !WITH_BODY.includes(route.method)) return;

	const type = req.headers["content-type"] ?? "";
	if (!JSON_TYPE.test(type) && !(route.form && FORM_TYPE.test(type))) throw apiError("UNSUPPORTED_MEDIA_TYPE");
}

/**
 * The parameters of an action from a request: the path's, and the body's or the query's by method. A field in the other
 * place, or one that the path gives too, is refused like any unknown field.
 * @throws BODY_NOT_AN_OBJECT, VALIDATION_ERROR
 */
export function requestParams(method: string, path: Params, body: unknown, search: URLSearchParams): Params {
	const query = queryParams(search);
	if (!WITH_BODY.includes(method)) return merged(path, query);

	refuseFields(Object.keys(query));
	if (body !== undefined && (typeof body !== "object" || body === null || Array.isArray(body)))
		throw apiError("BODY_NOT_AN_OBJECT");
	return merged(path, (body ?? {}) as Params);
}

/** A name that is given more than once becomes a list, which no schema takes for one value. */
function queryParams(search: URLSearchParams): Params {
	return Object.fromEntries(
		[...new Set(search.keys())].map(name => {
			const values = search.getAll(name);
			return [name, values.length === 1 ? values[0] : values];
		})
	);
}

function merged(path: Params, given: Params): Params {
	// "__proto__" would change what the object is instead of being a field of it.
	refuseFields(Object.keys(given).filter(name => name === "__proto__" || Object.hasOwn(path, name)));
	return { ...given, ...path };
}

function refuseFields([name]: string[]): void {
	if (name !== undefined) throw fieldError(name, "objectStrict", `The '${name}' field is not known here.`);
}
