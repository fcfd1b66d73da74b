import type { Actions } from "../../../lib/call.ts";
import { sagaParams, sagaResults } from "../../../mixins/saga/schemas.ts";
import type { RouteDefinition } from "../route.ts";

/** A service that owns sagas. */
type Owner = { [A in keyof Actions]: A extends `${infer Name}.saga.get` ? Name : never }[keyof Actions];

/** Sagas: what became of a request, and the interventions of admins. */
export const sagaRoutes: readonly RouteDefinition[] = sagaRoutesOf("user", {
	outcome: "/v1/saga",
	admin: "/v1/admin/saga"
});

/** The routes of one owner's sagas. @param at where they stand: each owner needs paths of its own */
function sagaRoutesOf(owner: Owner, at: { outcome: string; admin: string }): RouteDefinition[] {
	return [
		{
			method: "GET",
			path: `${at.outcome}/:gid`,
			action: `${owner}.saga.outcome`,
			summary: "What became of a request that was answered with 202; its id is all that is needed, nobody can guess it",
			auth: false,
			params: sagaParams.get,
			result: sagaResults.outcome,
			errors: [404]
		},
		{
			method: "GET",
			path: `${at.admin}`,
			action: `${owner}.saga.list`,
			summary: "Sagas, newest first",
			auth: true,
			role: "admin",
			params: sagaParams.list,
			result: sagaResults.list
		},
		{
			method: "GET",
			path: `${at.admin}/:gid`,
			action: `${owner}.saga.get`,
			summary: "One saga with its steps and its timeline",
			auth: true,
			role: "admin",
			params: sagaParams.get,
			result: sagaResults.get,
			errors: [404]
		},
		{
			method: "POST",
			path: `${at.admin}/:gid/retry`,
			action: `${owner}.saga.retry`,
			summary: "Try a saga's waiting steps at once",
			auth: true,
			role: "admin",
			params: sagaParams.retry,
			errors: [404, 409]
		},
		{
			method: "POST",
			path: `${at.admin}/:gid/skip`,
			action: `${owner}.saga.skip`,
			summary: "Take a saga's step for done",
			auth: true,
			role: "admin",
			params: sagaParams.skip,
			errors: [404, 409]
		},
		{
			method: "POST",
			path: `${at.admin}/:gid/fail`,
			action: `${owner}.saga.fail`,
			summary: "Roll a saga back; one that is being rolled back ends as it is",
			auth: true,
			role: "admin",
			params: sagaParams.fail,
			errors: [404, 409]
		}
	];
}
