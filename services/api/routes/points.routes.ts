import * as points from "../../points/points.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** Points. */
export const pointsRoutes: readonly RouteDefinition[] = [
	{
		method: "GET",
		path: "/v1/points",
		action: "points.balance",
		summary: "The user's points",
		auth: true,
		result: points.balanceResult
	},
	{
		method: "GET",
		path: "/v1/points/history",
		action: "points.history",
		summary: "What changed the user's points, newest first",
		auth: true,
		params: points.queryHistory,
		result: points.historyResult
	}
];
