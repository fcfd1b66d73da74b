import { type ActionSchema, Errors, type ServiceSchema } from "moleculer";
import MoleculerDb from "moleculer-db";
import type { ModelDefinition } from "./adapter.ts";

type Actions = Record<string, ActionSchema>;

/** moleculer-db exports a service schema, which its types call a class. */
const { actions: theirs } = MoleculerDb as unknown as { actions: Record<string, ActionSchema & { rest?: unknown }> };

/**
 * The CRUD actions of moleculer-db. Without `rest` and never published: no HTTP route. Not cached: a store writes past
 * moleculer-db's cache cleaning.
 */
export const genericActions: Readonly<Actions> = Object.fromEntries(
	Object.entries(theirs).map(([name, { rest, cache, ...action }]) => [
		name,
		{ ...action, visibility: "public", cache: false } as const
	])
);

/**
 * Moleculer merges an action with the mixin's of the same name, parameters included, and with that every action that uses
 * the same object of parameters. A definition with a handler of its own shall be what it says, and public unless it says
 * otherwise; the others shall keep their parameters.
 *
 * @param actions the merged ones, changed in place
 * @param original the schema before the merge
 */
export function keepOwnActions(actions: Actions, { actions: own = {} }: Partial<ServiceSchema>): void {
	for (const [name, action] of Object.entries(own)) {
		const definition = typeof action === "function" ? { handler: action } : action;
		const merged = actions[name];
		if (!merged || typeof definition !== "object") continue;
		if (!(name in genericActions)) Object.assign(merged, definition.params && { params: definition.params });
		else if (definition.handler) actions[name] = { visibility: "public", ...definition };
	}
}

/**
 * Refuses the actions that find a row by one id where the table's key is of several columns: by the first of them alone,
 * `remove` would take every row that has it.
 *
 * @param service its actions merged
 * @throws ServiceSchemaError that names the key and the actions
 */
export function assertOneKey({ name, actions }: { name: string; actions: Actions }, { define }: ModelDefinition): void {
	const columns = Object.entries(define).filter(([, column]) => (column as { primaryKey?: boolean }).primaryKey);
	const byId = ["get", "update", "remove"].filter(
		action => actions[action]?.handler === genericActions[action]?.handler
	);
	if (columns.length < 2 || byId.length === 0) return;
	const key = columns.map(([column]) => column).join(", ");
	throw new Errors.ServiceSchemaError(
		`Service '${name}': ${byId.join(", ")} would find rows by one id, and the key is (${key}). ` +
			"Define them in the service, or set them to false.",
		{}
	);
}
