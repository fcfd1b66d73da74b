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
	"letter.replayAll": { consumer: "audit-log" },
	"user.saga.retry": { reason: "because" },
	"user.saga.skip": { step: "points", reason: "because" },
	"user.saga.fail": { reason: "because" }
};

/** A route and a request to it that breaks no rule of it. */
export interface SampleRequest {
	name: string;
	route: RouteDefinition;
	path: string;
	options: RequestOptions;
}

function isRequired(rule: unknown): boolean {
	return typeof rule === "object" && !(rule as { optional?: boolean }).optional;
}

/** One good request for each route of the table. @param ids what stands for the parameters of paths */
export function sampleRequests(ids = "1"): SampleRequest[] {
	return routes.map(route => {
		const path = route.path.replace(/:\w+/g, ids);
		const json = bodies[route.action];
		const wanted = Object.entries(route.params ?? {}).filter(
			([field, rule]) => isRequired(rule) && !route.path.includes(`:${field}`)
		);
		if (!json && !/GET|DELETE/.test(route.method) && wanted.length > 0)
			throw new Error(
				`There is no sample body for ${route.action}: it belongs to \`bodies\` in test/support/requests.ts`
			);
		return { name: `${route.method} ${path}`, route, path, options: json ? { json } : {} };
	});
}
