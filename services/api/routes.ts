import type { IncomingMessage } from "node:http";
import { splitUrl } from "./request.ts";
import { type RouteDefinition, serviceOf } from "./route.ts";
import { docsRoutes, ownRoutes } from "./routes/api.routes.ts";
import { auditRoutes } from "./routes/audit.routes.ts";
import { letterRoutes } from "./routes/letter.routes.ts";
import { noteRoutes } from "./routes/note.routes.ts";
import { pointsRoutes } from "./routes/points.routes.ts";
import { sagaRoutes } from "./routes/saga.routes.ts";
import { userRoutes } from "./routes/user.routes.ts";

export { methodsOf, type RouteDefinition } from "./route.ts";

const served = [userRoutes, noteRoutes, auditRoutes, letterRoutes, pointsRoutes, sagaRoutes].flat();

/** The services behind the routes. */
export const neighbours: readonly string[] = [...new Set(served.map(serviceOf))];

/** The HTTP API. The gateway, the 405 answers and the OpenAPI document are all made from this table. */
export const routes: readonly RouteDefinition[] = [...ownRoutes(neighbours), ...served];

/** All that is served, the documentation's page included. */
export const allRoutes: readonly RouteDefinition[] = [...routes, ...docsRoutes];

const byPath = Map.groupBy(allRoutes, route => route.path);
const withParameters = Array.from(byPath, ([path, found]) => ({ parts: path.split("/"), found })).filter(({ parts }) =>
	parts.some(part => part.startsWith(":"))
);

/** The routes of a path, none for an unknown one. A path without parameters goes before one with them. */
export function routesAt(path: string): readonly RouteDefinition[] {
	const asked = path.replace(/(.)\/$/, "$1");
	const exact = byPath.get(asked);
	if (exact) return exact;
	const given = asked.split("/");
	return withParameters
		.filter(
			({ parts }) =>
				parts.length === given.length &&
				parts.every((part, i) => part === given[i] || (part.startsWith(":") && given[i]))
		)
		.flatMap(({ found }) => found);
}

const matched = new WeakMap<object, RouteDefinition | undefined>();

/** The route of a request, undefined where path or method are unknown. Looked up once. */
export function matchedRoute(req: IncomingMessage): RouteDefinition | undefined {
	if (!matched.has(req)) {
		const found = routesAt(splitUrl(req).path);
		matched.set(
			req,
			found.find(({ method }) => method === req.method || (method === "GET" && req.method === "HEAD"))
		);
	}
	return matched.get(req);
}
