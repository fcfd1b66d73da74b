import type { IncomingMessage, ServerResponse } from "node:http";
import type { CallingOptions, Context } from "moleculer";
import { env } from "../../lib/env.ts";
import { newId, parseTraceparent, type TraceContext } from "../../lib/observability/trace-context.ts";
import { failure } from "./envelope.ts";
import { matchedRoute } from "./routes.ts";

/** What stands for the path where no route fits: names and metrics must not grow with what clients invent. */
export const UNMATCHED = "unmatched";

/** The trace that a request belongs to: its client's, where clients are trusted with that, else a new one. */
export function traceOf({ headers }: Pick<IncomingMessage, "headers">): TraceContext {
	const isTrusted = env().TRACE_INCOMING === "continue";
	return (isTrusted && parseTraceparent(String(headers.traceparent ?? ""))) || { traceID: newId() };
}

/**
 * Begins the trace of a request, or continues the client's: its id becomes that of the request, of every span and log
 * line, and `X-Request-ID`. Whether it is recorded is the client's decision where it made one, else ours; routes with
 * `traced: false` never are.
 */
export function beginTrace(options: CallingOptions, req: IncomingMessage): void {
	const { traceID, id, sampled } = traceOf(req);
	const traced = matchedRoute(req)?.traced !== false;
	// moleculer-web has set what the client sent as X-Request-ID, which is not an id that we trust.
	options.requestID = traceID;
	options.parentSpan = { traceID, id, sampled: traced ? sampled : false } as CallingOptions["parentSpan"];
}

/** The root span of a request: `GET /v1/note/:note_id`, with what happened to it, and nothing that the client wrote. */
export const restTracing = {
	spanName: (ctx: Context) => `${exchangeOf(ctx).req.method} ${templateOf(ctx)}`,
	tags(ctx: Context, answered?: unknown) {
		const { req, res } = exchangeOf(ctx);
		return {
			"http.method": req.method,
			"http.route": templateOf(ctx),
			...(answered !== undefined && { "http.status_code": res.statusCode })
		};
	}
};

function exchangeOf(ctx: Context) {
	return ctx.params as { req: IncomingMessage; res: ServerResponse };
}

function templateOf(ctx: Context): string {
	return matchedRoute(exchangeOf(ctx).req)?.path ?? UNMATCHED;
}

/** Adds the status of a failure to the root span, which ends before the answer is written. */
export function traceFailure(ctx: Context, error: unknown): never {
	ctx.span?.addTags({ "http.status_code": failure(error).status });
	throw error;
}
