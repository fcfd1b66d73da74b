import type { IncomingMessage, ServerResponse } from "node:http";
import type { Service, ServiceBroker } from "moleculer";
import { count, observe, register } from "../../lib/observability/instruments.ts";
import type { Unread } from "./client-error.ts";
import { UNREAD_STATUSES } from "./client-error.ts";
import { matchedRoute } from "./routes.ts";
import { UNMATCHED } from "./trace.ts";

/** What a client may ask for that the API has no route for: the methods count as one. */
const OTHER = "other";
/** nginx' status for a client that went before the answer. */
const ABORTED = 499;

/** Makes the metrics of {@link measure}. */
export function registerHttpMetrics(broker: ServiceBroker): void {
	register(broker, [
		{
			type: "counter",
			name: "http.requests.total",
			description: "HTTP requests by status; 499: the client did not wait for the answer",
			labelNames: ["method", "route", "status"],
			known: UNREAD_STATUSES.map(status => ({ method: OTHER, route: UNMATCHED, status }))
		},
		{
			type: "histogram",
			name: "http.request.time",
			description: "Time from an HTTP request to the end of its answer, in milliseconds",
			labelNames: ["method", "route"]
		},
		{ type: "gauge", name: "http.requests.active", description: "HTTP requests under way", known: [{}] }
	]);
}

/** How a request went. */
export interface Exchange {
	method: string;
	/** The route's template. */
	route: string;
	status: number;
	/** Milliseconds. */
	duration: number;
}

/**
 * Measures a request from now to the end of its answer. Requests are told apart by route, never by path.
 * @param onEnd called once it is over
 */
export function measure(
	broker: ServiceBroker,
	req: IncomingMessage,
	res: ServerResponse,
	onEnd: (exchange: Exchange) => void
): void {
	const started = performance.now();
	const route = matchedRoute(req);
	const labels = { method: route ? String(req.method) : OTHER, route: route?.path ?? UNMATCHED };
	count(broker, "http.requests.active");
	res.once("close", () => {
		const duration = performance.now() - started;
		const status = res.writableFinished ? res.statusCode : ABORTED;
		count(broker, "http.requests.active", {}, -1);
		count(broker, "http.requests.total", { ...labels, status });
		observe(broker, "http.request.time", duration, labels);
		onEnd({ ...labels, status, duration });
	});
}

/**
 * Counts and logs what was refused before {@link measure} saw it, since it could not be read as a request. Quietly: garbage
 * costs its sender nothing, and must not flood the log.
 */
export function measureUnread({ broker, logger }: Pick<Service, "broker" | "logger">, unread: Unread): void {
	const labels = { method: OTHER, route: UNMATCHED, status: unread.status };
	count(broker, "http.requests.total", labels);
	logger.debug("Request refused", { trace_id: unread.id, ...labels });
}
