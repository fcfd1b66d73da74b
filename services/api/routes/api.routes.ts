import * as api from "../api.contract.ts";
import type { RouteDefinition } from "../route.ts";

/**
 * What the gateway answers itself.
 * @param services those that the other routes need, as `/readyz` tells of each
 */
export const ownRoutes = (services: readonly string[]): readonly RouteDefinition[] => [
	{
		method: "GET",
		path: "/ping",
		action: "api.ping",
		summary: "Answers as long as the gateway runs",
		auth: false,
		result: api.pingResult,
		envelope: "none",
		traced: false,
		shed: false
	},
	{
		method: "GET",
		path: "/healthz",
		action: "api.live",
		summary: "Liveness: the process serves requests",
		auth: false,
		result: api.liveResult,
		envelope: "none",
		traced: false,
		shed: false,
		probe: true
	},
	{
		method: "GET",
		path: "/readyz",
		action: "api.ready",
		summary:
			"Readiness: each service with its database, and the transporter; 503 without note or transporter, and while it starts or drains",
		auth: false,
		result: api.readyResult(services, ["ok"]),
		unavailable: api.readyResult(services, ["failed", "draining"]),
		envelope: "none",
		traced: false,
		shed: false,
		probe: true
	},
	{
		method: "GET",
		path: "/openapi.json",
		action: "api.openapi",
		summary: "This document",
		auth: false,
		envelope: "none"
	}
];

/** The page that shows the document to people, and its files: served like the routes, but no part of the API. */
export const docsRoutes: readonly RouteDefinition[] = ["/docs", "/docs/:file"].map(path => ({
	method: "GET",
	path,
	action: "api.docs",
	summary: "The API's documentation",
	auth: false,
	params: api.docsFile,
	envelope: "none"
}));
