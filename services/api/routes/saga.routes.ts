import { sagaParams, sagaResults } from "../../../mixins/saga/schemas.ts";
import * as user from "../../user/user.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** Sagas: what became of a request, and the interventions of admins. */
export const sagaRoutes: readonly RouteDefinition[] = [
	{
		method: "GET",
		path: "/v1/saga/:gid",
		action: "user.saga.outcome",
		summary: "What became of a request that was answered with 202; its id is all that is needed, nobody can guess it",
		auth: false,
		params: sagaParams.get,
		result: user.sagaResult
	},
	{
		method: "GET",
		path: "/v1/admin/saga",
		action: "user.saga.list",
		summary: "Sagas, newest first",
		auth: true,
		role: "admin",
		params: sagaParams.list,
		result: sagaResults.list
	},
	{
		method: "GET",
		path: "/v1/admin/saga/:gid",
		action: "user.saga.get",
		summary: "One saga with its steps and its timeline",
		auth: true,
		role: "admin",
		params: sagaParams.get,
		result: sagaResults.get
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/retry",
		action: "user.saga.retry",
		summary: "Try a saga's waiting steps at once",
		auth: true,
		role: "admin",
		params: sagaParams.retry
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/skip",
		action: "user.saga.skip",
		summary: "Take a saga's step for done",
		auth: true,
		role: "admin",
		params: sagaParams.skip
	},
	{
		method: "POST",
		path: "/v1/admin/saga/:gid/fail",
		action: "user.saga.fail",
		summary: "Roll a saga back; one that is being rolled back ends as it is",
		auth: true,
		role: "admin",
		params: sagaParams.fail
	}
];
