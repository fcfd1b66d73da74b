import { Errors } from "moleculer";

interface Problem {
	field: string;
	type: string;
	message: string;
}

interface Named {
	sort?: string[];
	searchFields?: string[];
	query?: unknown;
}

/** The columns that a condition compares, also those under operators such as `Op.or`. */
function columnsOf(condition: unknown): string[] {
	if (Array.isArray(condition)) return condition.flatMap(columnsOf);
	if (typeof condition !== "object" || condition === null) return [];
	return Reflect.ownKeys(condition).flatMap(key =>
		typeof key === "string" ? [key] : columnsOf((condition as Record<symbol, unknown>)[key])
	);
}

/**
 * Refuses to filter, sort or search by a column that an answer may not show: who can ask for "password_hash > 'm'"
 * reads it bit by bit.
 *
 * @param params the parameters of a generic action, sanitized
 * @param visible the columns that may be named
 * @throws ValidationError (422) that names the others
 */
export function assertVisible({ sort = [], searchFields = [], query }: Named, visible: string[]): void {
	const hidden = (field: string, names: string[]) =>
		names
			.filter(name => !visible.includes(name))
			.map(name => ({ field, type: "columnUnknown", message: `There is no column '${name}' to use here.` }));
	const errors = [
		...hidden(
			"sort",
			sort.map(name => name.replace(/^-/, ""))
		),
		...hidden("searchFields", searchFields),
		...hidden("query", columnsOf(query))
	];
	if (errors.length > 0) throw refusal(errors);
}

/**
 * Reads a `query` that came as text.
 *
 * @throws ValidationError (422) when it is no JSON
 */
export function parseQuery(query: string): unknown {
	try {
		return JSON.parse(query);
	} catch {
		throw refusal([{ field: "query", type: "json", message: "The 'query' field must be JSON." }]);
	}
}

function refusal(problems: Problem[]): Error {
	return new Errors.ValidationError("Parameters validation error!", "VALIDATION_ERROR", problems);
}
