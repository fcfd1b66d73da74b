import * as audit from "../../audit/audit.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** The audit log. */
export const auditRoutes: readonly RouteDefinition[] = [
	{
		method: "GET",
		path: "/v1/audit",
		action: "audit.list",
		summary: "What the user has done and was refused, newest first; for an admin everybody's",
		auth: true,
		params: audit.listAudit,
		result: audit.auditPageResult,
		errors: [403]
	}
];
