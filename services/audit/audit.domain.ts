import { createHash } from "node:crypto";
import { cursors } from "../../lib/paging.ts";
import type { AuditBreak, AuditEntry, AuditRecorded } from "./audit.contract.ts";

/** A fact as it is kept, without what the database and the chain add. */
export interface ChainedFact {
	source: string;
	sequence: number;
	event_id: string;
	/** Milliseconds since the epoch. */
	time: number;
	user_id: number | null;
	action: string;
	object_type: string;
	object_id: string | null;
	outcome: string;
	error: string | null;
	request_id: string;
	trace_id: string;
	/** JSON. */
	details: string;
}

/** An entry: a fact at its place in the chain. */
export interface ChainedEntry extends ChainedFact {
	id: number;
	position: number;
	hash: string;
}

/** The end of a chain. */
export interface ChainHead {
	position: number;
	hash: string;
	max_sequence: number;
}

/** Before the first entry. */
export const GENESIS: ChainHead = { position: 0, hash: "0".repeat(64), max_sequence: 0 };

export const DEFAULT_LIMIT = 20;

/** The fact in a message. */
export function factOf(record: AuditRecorded, event: { id: string; source: string; sequence: number }): ChainedFact {
	const { time, details, ...rest } = record;
	return {
		source: event.source,
		sequence: event.sequence,
		event_id: event.id,
		time: Date.parse(time),
		...rest,
		details: JSON.stringify(details)
	};
}

/** One spelling of a fact: its fields in a fixed order, as JSON, so that no two facts share one. */
function canonical(fact: ChainedFact): string {
	return JSON.stringify([
		fact.source,
		fact.sequence,
		fact.event_id,
		fact.time,
		fact.user_id,
		fact.action,
		fact.object_type,
		fact.object_id,
		fact.outcome,
		fact.error,
		fact.request_id,
		fact.trace_id,
		fact.details
	]);
}

/** The hash of an entry: over the hash before it, its place and the fact. */
function chainHash(previous: string, position: number, fact: ChainedFact): string {
	return createHash("sha256")
		.update(`${previous}\n${position}\n${canonical(fact)}`)
		.digest("hex");
}

/** The head after a fact was appended. */
export function appended(head: ChainHead, fact: ChainedFact): ChainHead {
	const position = head.position + 1;
	return {
		position,
		hash: chainHash(head.hash, position, fact),
		max_sequence: Math.max(head.max_sequence, fact.sequence)
	};
}

/** The next step of a walk: the head after `entry`, or the break at it. */
export function walked(head: ChainHead, entry: ChainedEntry): { head: ChainHead } | { broken: AuditBreak } {
	const place = { position: head.position + 1, sequence: null, entry_id: null };
	if (entry.position !== head.position + 1) return { broken: { problem: "removed", ...place } };
	const next = appended(head, entry);
	if (next.hash === entry.hash) return { head: next };
	return { broken: { problem: "changed", position: entry.position, sequence: entry.sequence, entry_id: entry.id } };
}

/** What the end of a walk says: the chain must end where its head says it ends, and no fact may be missing. */
export function ended(head: ChainHead, recorded: ChainHead, firstMissing: number | null): AuditBreak | null {
	if (head.position < recorded.position)
		return { problem: "removed", position: head.position + 1, sequence: null, entry_id: null };
	if (head.position > recorded.position || head.hash !== recorded.hash)
		return { problem: "changed", position: recorded.position, sequence: null, entry_id: null };
	if (firstMissing !== null) return { problem: "gap", position: null, sequence: firstMissing, entry_id: null };
	return null;
}

/** An entry as clients see it. */
export function present(entry: ChainedEntry): AuditEntry {
	const { id, time, details, user_id, action, object_type, object_id, error, request_id, trace_id } = entry;
	return {
		entry_id: id,
		time: new Date(time).toISOString(),
		source: entry.source,
		sequence: entry.sequence,
		user_id,
		action,
		object_type,
		object_id,
		error,
		request_id,
		trace_id,
		outcome: entry.outcome as AuditEntry["outcome"],
		details: JSON.parse(details)
	};
}

/** A place in the list. */
export interface Place {
	time: number;
	id: number;
}

/** Cursors of the log. */
export const auditCursors = cursors("a", ["time", "id"]);
