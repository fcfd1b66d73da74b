import { randomFillSync } from "node:crypto";

/** Where a trace comes from: its id, the caller's span, and whether it is recorded (undefined: not decided yet). */
export interface TraceContext {
	/** 32 hexadecimal digits. */
	traceID: string;
	/** 16 hexadecimal digits; undefined where the trace begins here. */
	id?: string | undefined;
	sampled?: boolean | undefined;
}

const ID_BYTES = 16;
/** Random bytes in stock: a request needs several ids, and asking the system for each costs five times as much. */
const stock = Buffer.alloc(256 * ID_BYTES);
let used = stock.length;

/** 128 random bits as 32 hexadecimal digits: the id of a trace, a request or a context. */
export function newId(): string {
	if (used === stock.length) {
		randomFillSync(stock);
		used = 0;
	}
	used += ID_BYTES;
	return stock.toString("hex", used - ID_BYTES, used);
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/**
 * Reads a W3C `traceparent` header (https://www.w3.org/TR/trace-context/, section 3.2). Unknown versions are read like
 * version 00, as section 3.2.4 asks for. What is not valid counts as not sent.
 */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
	const [, version, traceID, id, flags, rest] = TRACEPARENT.exec(header ?? "") ?? [];
	if (!version || !traceID || !id || !flags || version === "ff" || (version === "00" && rest)) return undefined;
	if (ZEROS.test(traceID) || ZEROS.test(id)) return undefined;
	return { traceID, id, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Digits of an id that are compared: 52 bits, what a number holds exactly. */
const DIGITS = 13;

/**
 * Whether a trace is in a sample. Depends on the end of its id only, so that every node decides alike, as in
 * OpenTelemetry's TraceIdRatioBased sampler. (moleculer's own takes every n-th: a rate of 0.7 gives 0.5.)
 *
 * @param rate share of traces, 0 to 1
 */
export function inSample(traceID: string, rate: number): boolean {
	return Number.parseInt(traceID.slice(-DIGITS), 16) < rate * 16 ** DIGITS;
}
