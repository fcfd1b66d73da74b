import type { ServiceBroker, Span } from "moleculer";

/** What moleculer's calls take as their parent. */
export interface ParentSpan {
	id: string;
	traceID: string;
	sampled: boolean;
}

/** The part of a moleculer context that names a span. */
export interface Traced {
	requestID?: string | null;
	id?: string | null;
	span?: { id: string; sampled?: boolean } | null;
	tracing?: boolean | null;
}

const FORMAT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The W3C trace context of a request, null where its id has no such form. Moleculer's span ids are UUIDs: their first half. */
export function traceparentOf({ requestID, id, span, tracing }: Traced): string | null {
	const trace = hexadecimal(requestID).padStart(32, "0");
	const parent = hexadecimal(span?.id ?? id).slice(0, 16);
	const text = `00-${trace}-${parent}-${tracing === false || tracing === null ? "00" : "01"}`;
	return FORMAT.test(text) ? text : null;
}

/** The span that a stored trace context names. */
export function parentOf(traceparent: string | null): ParentSpan | undefined {
	const match = FORMAT.exec(traceparent ?? "");
	if (!match) return undefined;
	const [, traceID = "", id = "", flags = "0"] = match;
	return { traceID, id, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/**
 * Starts the span of one owner's drive. It belongs to the trace of the request that began the saga; where that request
 * is over because another owner goes on, the span says so and links to it (`follows_from`).
 */
export function driveSpan(
	broker: ServiceBroker,
	saga: { gid: string; name: string; epoch: number; traceparent: string | null }
): Span | undefined {
	if (!broker.isTracingEnabled()) return undefined;
	const parentSpan = parentOf(saga.traceparent);
	const resumed = saga.epoch > 1;
	return broker.tracer.startSpan(`saga ${saga.name}`, {
		...(parentSpan && { parentSpan: parentSpan as unknown as Span }),
		tags: {
			saga: { gid: saga.gid, epoch: saga.epoch, resumed },
			...(resumed && parentSpan && { follows_from: `${parentSpan.traceID}:${parentSpan.id}` })
		}
	});
}

function hexadecimal(id: string | null | undefined): string {
	return (id ?? "").replaceAll("-", "").toLowerCase();
}
