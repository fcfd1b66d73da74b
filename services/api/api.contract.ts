import { errorTable } from "../../lib/errors.ts";
import { type Infer, text } from "../../lib/schema.ts";

export const pingResult = { message: { type: "string" } } as const;
export const liveResult = { status: { type: "enum", values: ["ok"] } } as const;
export const docsFile = { $$strict: true, file: text({ maxChars: 128, optional: true }) } as const;

type Check = "ok" | "failed";

/** What `api.ready` found: `checks` has a row for each service behind the routes, and one for the transporter. */
export interface Readiness {
	status: "ok" | "failed" | "draining";
	checks: Record<string, Check>;
}

/** The schema of a {@link Readiness} with one of some statuses. */
export const readyResult = (services: readonly string[], statuses: readonly Readiness["status"][]) => {
	const check = { type: "enum", values: ["ok", "failed"] satisfies Check[] };
	const props = Object.fromEntries([...services, "transporter"].map(name => [name, check]));
	return { status: { type: "enum", values: statuses }, checks: { type: "object", props } };
};

export const apiError = errorTable({
	ROUTE_NOT_FOUND: [404, "Not found"],
	METHOD_NOT_ALLOWED: [405, "Method not allowed"],
	HOST_NOT_ONE: [400, "A request must have one Host header"],
	MALFORMED_ENCODING: [400, "A query or a form must be percent-encoded UTF-8"],
	BODY_INCOMPLETE: [400, "The body is incomplete"],
	BODY_NOT_UTF8: [400, "The body must be UTF-8"],
	BODY_NOT_JSON: [400, "The body must be valid JSON"],
	BODY_NOT_AN_OBJECT: [400, "The body must be a JSON object"],
	BODY_TOO_LARGE: [413, "The body is too large"],
	UNSUPPORTED_MEDIA_TYPE: [415, "The body must be JSON"],
	NEITHER_JSON_NOR_FORM: [415, "The body must be JSON or a form"],
	UNSUPPORTED_CONTENT_ENCODING: [415, "The body must not be compressed"],
	TOO_MANY_REQUESTS: [429, "Too many requests"],
	OVERLOADED: [503, "Service unavailable"],
	/** Requests can not be counted, and are not let in uncounted. */
	LIMITS_UNAVAILABLE: [503, "Service unavailable"]
});

declare module "../../lib/call.ts" {
	interface Actions {
		"api.ping": { params: undefined; result: Infer<typeof pingResult> };
		"api.live": { params: undefined; result: Infer<typeof liveResult> };
		"api.ready": { params: undefined; result: Readiness };
		"api.openapi": { params: undefined; result: Record<string, unknown> };
		/** The page that shows the OpenAPI document, or one of the files that it needs. */
		"api.docs": { params: Infer<typeof docsFile>; result: Buffer };
	}
}
