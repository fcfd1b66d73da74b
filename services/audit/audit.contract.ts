import { errorTable } from "../../lib/errors.ts";
import { cursor, limit, nextCursor } from "../../lib/paging.ts";
import { dateTime, type Infer, id, text } from "../../lib/schema.ts";
import type {} from "../../lib/streams.ts";

/** Without blanks at its end: MySQL ignores them where it compares, SQLite does not. */
const word = text({ minChars: 1, maxChars: 64, pattern: /^([^\p{Cc}\p{Cs}]*[^\p{Cc}\p{Cs} ])?$/u, optional: true });
/** Stored in a column of ASCII, with which MySQL does not compare other text. No name has a blank. */
const asciiWord = text({ minChars: 1, maxChars: 64, pattern: /^[\x21-\x7e]*$/, optional: true });
const outcome = { type: "enum", values: ["done", "refused", "failed"] } as const;
const time = dateTime({ optional: true });

export const listAudit = {
	$$strict: true,
	user_id: { ...id, optional: true },
	action: asciiWord,
	object_type: asciiWord,
	object_id: word,
	outcome: { ...outcome, optional: true },
	from: time,
	to: time,
	cursor,
	limit
} as const;
export const verifyAudit = {
	$$strict: true,
	source: asciiWord,
	anchor: {
		type: "object",
		optional: true,
		props: { position: { type: "number", integer: true, min: 1 }, hash: { type: "string" } }
	}
} as const;

export const refusedRequests = {
	$$strict: true,
	refusals: { type: "array", max: 100, items: { type: "object" } }
} as const;

const auditEntryResult = {
	entry_id: id,
	time: { type: "string" },
	source: { type: "string" },
	sequence: { type: "number", integer: true },
	user_id: { type: "number", integer: true, nullable: true },
	action: { type: "string" },
	object_type: { type: "string" },
	object_id: { type: "string", nullable: true },
	outcome,
	error: { type: "string", nullable: true },
	request_id: { type: "string" },
	trace_id: { type: "string" },
	details: { type: "object", props: {} }
} as const;
export const auditPageResult = {
	entries: { type: "array", items: { type: "object", props: auditEntryResult } },
	next_cursor: nextCursor
} as const;

export type ListAudit = Infer<typeof listAudit>;
export type VerifyAudit = Infer<typeof verifyAudit>;
/** One entry of the log; times in RFC 3339. */
export type AuditEntry = Omit<Infer<typeof auditEntryResult>, "details"> & { details: AuditRecorded["details"] };
/** One page of the log, newest first; `next_cursor` is null on the last page. */
export type AuditPage = { entries: AuditEntry[]; next_cursor: string | null };

/** What a service tells the log about an action; see mixins/audit. */
export interface AuditRecorded {
	time: string;
	user_id: number | null;
	action: string;
	object_type: string;
	object_id: string | null;
	outcome: "done" | "refused" | "failed";
	error: string | null;
	request_id: string;
	trace_id: string;
	details: Record<string, string | number | boolean>;
}

/** Requests that the gateway refused, those of one kind as one: the first of them, and how many there were. */
export type RefusedRequests = { event_id: string; record: AuditRecorded; count: number; address: string }[];

/**
 * Where a chain is broken. "changed": an entry is not what it was. "removed": one is missing. "added": one stands behind its
 * end. "gap": a fact never arrived.
 */
export interface AuditBreak {
	problem: "changed" | "removed" | "added" | "gap";
	/** Place in the chain; of a removed entry, where it was. */
	position: number | null;
	/** Number of the fact at its source. */
	sequence: number | null;
	entry_id: number | null;
}

/**
 * What the walk along one source's chain found. Keep `position` and `hash` elsewhere: with them a later walk can tell that
 * the end was cut off.
 */
export interface AuditVerdict {
	source: string;
	entries: number;
	position: number;
	hash: string;
	/** The first break, null where there is none. */
	broken: AuditBreak | null;
}

export const auditError = errorTable({
	AUDIT_NOT_YOURS: [403, "Not allowed"]
});

declare module "../../lib/call.ts" {
	interface Actions {
		/** The caller's entries; for an admin all, or those of `user_id`. */
		"audit.list": { params: ListAudit; result: AuditPage };
		/** Walks the hash chains and names the first break of each; an anchor needs the source that it is of. For operators. */
		"audit.verify": { params: VerifyAudit; result: AuditVerdict[] };
		/** Appends what never reached an action, each `event_id` once. For gateways. */
		"audit.refused": { params: { refusals: RefusedRequests }; result: null };
		"audit.ready": { params: undefined; result: true };
	}
}

declare module "../../lib/streams.ts" {
	interface Messages {
		"audit.recorded": AuditRecorded;
	}
}
