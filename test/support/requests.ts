import type { Actions } from "../../lib/call.ts";
import { type RouteDefinition, routes } from "../../services/api/routes.ts";
import type { RequestOptions } from "./client.ts";

/** A body that passes the rules of each route that takes one. */
const bodies: Partial<Record<keyof Actions, object>> = {
	"user.register": { username: "somebody", password: "123456" },
	"user.login": { username: "somebody", password: "123456" },
	"user.refresh": { refresh_token: "x" },
	"user.changePassword": { old_password: "123456", new_password: "654321" },
	"note.create": { title: "A title", content: "Some content" },
	"note.update": { title: "A title" },
	"user.saga.retry": { reason: "A reason" },
	"user.saga.skip": { step: "A step", reason: "A reason" },
	"user.saga.fail": { reason: "A reason" }
};

/** A route and a request to it that breaks no rule of it. */
export interface SampleRequest {
	name: string;
	route: RouteDefinition;
	path: string;
	options: RequestOptions;
}

/** One good request for each route of the table. @param ids what stands for the parameters of paths */
export function sampleRequests(ids = "1"): SampleRequest[] {
	return routes.map(route => {
		const path = route.path.replace(/:\w+/g, ids);
		const json = bodies[route.action];
		return { name: `${route.method} ${path}`, route, path, options: json ? { json } : {} };
	});
}
