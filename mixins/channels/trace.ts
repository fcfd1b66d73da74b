import { unescape as decoded } from "node:querystring";
import type { Context } from "moleculer";
import type { Headers } from "./transport.ts";

/** A trace that a message belongs to, in moleculer's terms. */
export interface Trace {
	requestID: string;
	parentID: string;
	sampled: boolean;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** W3C ids are hexadecimal, moleculer's are UUIDs or whatever a client sent. */
function hex(id: string, length: number): string {
	const digits = id.replaceAll("-", "").toLowerCase();
	const usable = /^[0-9a-f]+$/.test(digits) ? digits : Buffer.from(id).toString("hex");
	return usable.slice(0, length).padStart(length, "0");
}

/**
 * The headers that carry a request's trace: `traceparent` (W3C Trace Context,
 * https://www.w3.org/TR/trace-context/), `tracestate` with moleculer's own ids, which are longer, the request id and
 * who called.
 */
export function traceHeaders(ctx: Pick<Context, "id" | "requestID" | "tracing" | "action" | "caller">): Headers {
	const requestID = ctx.requestID ?? ctx.id;
	const caller = ctx.action?.name ?? ctx.caller;
	return {
		traceparent: `00-${hex(requestID, 32)}-${hex(ctx.id, 16)}-${ctx.tracing ? "01" : "00"}`,
		tracestate: `moleculer=${encodeURIComponent(ctx.id)}`,
		"x-request-id": encodeURIComponent(requestID),
		...(caller && { "x-caller": caller })
	};
}

/** The trace in a message's headers, undefined for a message without one. */
export function traceOf(headers: Headers): Trace | undefined {
	const [, traceId, spanId, flags] = TRACEPARENT.exec(headers.traceparent ?? "") ?? [];
	if (!traceId || !spanId || !flags) return undefined;
	const own = /(?:^|,)\s*moleculer=([^,]+)/.exec(headers.tracestate ?? "")?.[1];
	// Anybody may have written the headers: what is not encoded well is taken as it is, and the message is handled.
	return {
		requestID: decoded(headers["x-request-id"] ?? traceId),
		parentID: own ? decoded(own) : spanId,
		sampled: (Number.parseInt(flags, 16) & 1) === 1
	};
}
