import type { Context } from "moleculer";

/** What is recorded of a change beside who, what and when. */
type Details = Record<string, string | number | boolean>;

/** What is recorded of an action. */
export interface AuditRule {
	/** What kind of thing it changes, e.g. `"note"`. */
	object: string;
	/** The parameter that names the thing. */
	id?: string;
	/** Parameters that may be recorded; all others are left out. */
	details?: readonly string[];
	/**
	 * What may be recorded of the action's result, where that was not known before: keep it short. Only of an action that
	 * is recorded after it ended.
	 */
	result?(result: unknown): Details;
	/** The action that is recorded, where this one is a step of it. */
	action?: string;
	/** Nothing is recorded of success: a step records it. */
	only?: "refusals";
}

/** What a change turned out to be about. */
export interface AuditedObject {
	/** The thing, where no parameter names it: it was created. */
	id?: number | string;
	/** Who acted, where the request carried no identity: they logged in. */
	user_id?: number;
}

/** One line of the log, as it is published. */
export interface AuditRecord {
	/** RFC 3339. */
	time: string;
	user_id: number | null;
	action: string;
	object_type: string;
	object_id: string | null;
	/** "refused": for a reason that the client can know (4xx). "failed": for any other. */
	outcome: "done" | "refused" | "failed";
	/** The error's type. */
	error: string | null;
	request_id: string;
	/** The trace of the request (W3C), to be found in the tracing system. */
	trace_id: string;
	details: Details;
}

interface Outcome {
	about?: AuditedObject;
	error?: unknown;
	/** What the action returned. */
	result?: unknown;
}

const LONGEST_TEXT = 64;
const LONGEST_DETAIL = 256;

/** The record of an action's outcome. */
export function recordOf(ctx: Context, rule: AuditRule, { about = {}, error, result }: Outcome = {}): AuditRecord {
	const params = (ctx.params ?? {}) as Record<string, unknown>;
	const { user } = ctx.meta as { user?: { id?: number } | null };
	const id = about.id ?? (rule.id === undefined ? undefined : params[rule.id]);
	const requestId = String(ctx.requestID ?? ctx.id);
	return {
		time: new Date().toISOString(),
		user_id: user?.id ?? about.user_id ?? null,
		action: rule.action ?? ctx.action?.name ?? "",
		object_type: rule.object,
		object_id: typeof id === "number" || typeof id === "string" ? cut(String(id)) : null,
		...outcomeOf(error),
		request_id: cut(requestId),
		trace_id: traceId(requestId),
		details: {
			...Object.fromEntries((rule.details ?? []).flatMap(name => detail(name, params[name]))),
			...(result !== undefined && rule.result?.(result))
		}
	};
}

function outcomeOf(error: unknown): Pick<AuditRecord, "outcome" | "error"> {
	if (error === undefined) return { outcome: "done", error: null };
	const { code, type } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
	const refused = typeof code === "number" && code >= 400 && code < 500;
	// The name of an error without a type is that of a class inside, which users who read their own entries need not know.
	return { outcome: refused ? "refused" : "failed", error: cut(String(type ?? "ERROR")) };
}

/** Of what a client sends, only what is plain and short. */
function detail(name: string, value: unknown): [string, string | number | boolean][] {
	if (typeof value === "number" || typeof value === "boolean") return [[name, value]];
	return typeof value === "string" ? [[name, cut(value, LONGEST_DETAIL)]] : [];
}

/** Half a character, as a cut leaves it, has no UTF-8 form: the log's hash would be over another text than is kept. */
function cut(text: string, length = LONGEST_TEXT): string {
	return text.slice(0, length).toWellFormed();
}

function traceId(requestId: string): string {
	const digits = requestId.replaceAll("-", "").toLowerCase();
	const hex = /^[0-9a-f]+$/.test(digits) ? digits : Buffer.from(requestId).toString("hex");
	return hex.slice(0, 32).padStart(32, "0");
}
