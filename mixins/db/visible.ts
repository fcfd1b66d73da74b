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

/** The columns that a query compares, each with its condition, also those under operators such as `Op.or`. */
function comparisonsOf(query: unknown): [string, unknown][] {
	if (Array.isArray(query)) return query.flatMap(comparisonsOf);
	if (typeof query !== "object" || query === null) return [];
	return Reflect.ownKeys(query).flatMap(key => {
		const condition = (query as Record<string | symbol, unknown>)[key];
		return typeof key === "string" ? [[key, condition] as [string, unknown]] : comparisonsOf(condition);
	});
}

function isEmptyObject(value: unknown): boolean {
	if (typeof value !== "object" || value === null) return false;
	return Object.getPrototypeOf(value) === Object.prototype && Reflect.ownKeys(value).length === 0;
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
		...hidden(
			"query",
			comparisonsOf(query).map(([name]) => name)
		)
	];
	if (errors.length > 0) throw refusal(errors);
}

/**
 * Refuses a condition that says nothing, which Sequelize would leave out: the operator of `{ [Op.gt]: 5 }` is a symbol,
 * and lost on the way to another node.
 *
 * @throws ValidationError (422) that names the columns
 */
export function assertConditions(query: unknown): void {
	const empty = comparisonsOf(query).filter(([, condition]) => isEmptyObject(condition));
	if (empty.length > 0)
		throw refusal(
			empty.map(([name]) => ({
				field: "query",
				type: "conditionEmpty",
				message: `The condition on '${name}' is empty.`
			}))
		);
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
