import { type FieldError, unknownField, validationError } from "../../lib/errors.ts";
import { apiError } from "./api.contract.ts";

/** Fields by name, as a request brings them. */
export type Params = Record<string, unknown>;

/** What a request is made of. */
interface RequestParts {
	path: Params;
	query: Params;
	body: Params;
}

interface Route {
	method: string;
	/** The schema of the action; a route without one takes no field. */
	params?: Readonly<Record<string, unknown>>;
}

const WITH_BODY: readonly string[] = ["POST", "PUT"];

/**
 * The parameters of an action from a request: the path's, and the body's or the query's by method. Refused here is what
 * the action's own schema can not see: a field in the wrong place, a list or an object, since every field of this API is
 * one value, and a number in a URL that is spelled in another way than ours ("07", "1e3", "0x7").
 * @throws VALIDATION_ERROR
 */
export function requestParams(route: Route, { path, query, body }: RequestParts): Params {
	const withBody = WITH_BODY.includes(route.method);
	const [given, misplaced] = withBody ? [body, query] : [query, body];
	// "__proto__" would change what the object is instead of being a field of it.
	const isKnown = (name: string) => route.params !== undefined && name !== "__proto__" && !Object.hasOwn(path, name);

	const unknown = [...Object.keys(misplaced), ...Object.keys(given).filter(name => !isKnown(name))];
	const nested = Object.keys(given).filter(name => isKnown(name) && typeof given[name] === "object" && given[name]);
	const inUrl = numeric(route, withBody ? path : { ...given, ...path });
	const misspelled = Object.keys(inUrl).filter(name => isNumber(route, name) && typeof inUrl[name] === "string");
	const errors = [...unknown.map(unknownField), ...nested.map(nestedField), ...misspelled.map(notANumber)];
	if (errors.length > 0) throw validationError(errors);

	return withBody ? { ...given, ...inUrl } : inUrl;
}

/**
 * The fields of a query or a form. A name that is given more than once becomes a list.
 * @throws MALFORMED_ENCODING where the text is not percent-encoded UTF-8: reading on would put other characters in its place
 */
export function urlencodedFields(text: string): Params {
	if (text === "") return {};
	try {
		decodeURIComponent(text);
	} catch {
		throw apiError("MALFORMED_ENCODING");
	}
	const pairs = Map.groupBy(new URLSearchParams(text), ([name]) => name);
	return Object.fromEntries(
		Array.from(pairs, ([name, [first, ...more]]) => [
			name,
			more.length > 0 ? [first, ...more].map(pair => pair?.[1]) : first?.[1]
		])
	);
}

function isNumber({ params = {} }: Route, name: string): boolean {
	return (params[name] as { type?: string } | undefined)?.type === "number";
}

/** Numbers come as text in a URL; what is not the one spelling of a number stays text. */
function numeric(route: Route, fields: Params): Params {
	return Object.fromEntries(
		Object.entries(fields).map(([name, text]) => {
			const number = Number(text);
			return [name, isNumber(route, name) && Number.isFinite(number) && String(number) === text ? number : text];
		})
	);
}

function notANumber(field: string): FieldError {
	return { field, type: "number", message: `The '${field}' field must be a number.` };
}

function nestedField(field: string): FieldError {
	return { field, type: "single", message: `The '${field}' field must be a single value.` };
}
