import type { OutboxRow } from "./row.ts";
import type { Outcome } from "./store.ts";

/** A message on its way to a stream. */
export interface OutboxMessage {
	stream: string;
	subject: string;
	id: string;
	headers: Readonly<Record<string, string>>;
	data: string;
}

/** Where the relay publishes; with mixins/channels, `throughChannels` makes one. */
export interface Publisher {
	/** Resolves when the stream has stored the message. An error of `type` MESSAGE_REFUSED is the message's own fault. */
	publish(message: OutboxMessage): Promise<{ seq: number; duplicate: boolean }>;
	/** What the stream is now, made anew where it was gone. */
	streamState(stream: string): Promise<{ created: string; lastSeq: number }>;
	/** All streams that it knows; rows for others are left to who knows them. Any where not given. */
	streams?: readonly string[];
	/** @throws Error for what no stream takes, now or later: as a row it would hold up all others */
	check?(fact: { stream: string; subject: string }): void;
	/** Calls a function whenever the streams may have become others: after each lost connection. */
	onInterruption?(listener: () => void): void;
}

/** What publishing a batch came to. */
export interface BatchResult extends Outcome {
	/** The greatest number that each stream gave. */
	lastSeqs: Map<string, number>;
	/** Streams that gave a number that they must have given before. */
	backwards: Set<string>;
	/** Why the batch was broken off. */
	outage?: unknown;
}

/** A row is set aside after so many refusals. */
const MAX_REFUSALS = 5;

interface Options {
	publisher: Publisher;
	source: string;
	/** The greatest number known of each stream. */
	known: ReadonlyMap<string, number>;
	rows: readonly OutboxRow[];
	/** Whether the streams have to be looked at before anything more is published. */
	interrupted: () => boolean;
	/** Whether it is time to mark what was published: another relay may follow, which would publish it all again. */
	isLate: () => boolean;
}

/**
 * Publishes a batch. Rows of one aggregate go one after the other, each when the one before is stored, different
 * aggregates at once. So the stream has each aggregate's facts in order whatever fails on the way, and what is marked
 * as published is a prefix of each aggregate's rows.
 */
export async function publishBatch(options: Options): Promise<BatchResult> {
	const { publisher, source, known, rows, interrupted, isLate } = options;
	const result: BatchResult = { published: [], refused: [], lastSeqs: new Map(), backwards: new Set() };

	const publishChain = async (chain: readonly OutboxRow[]) => {
		for (const row of chain) {
			if (result.outage || isLate()) return;
			if (interrupted()) {
				result.outage = new Error("The connection to the streams was lost");
				return;
			}
			try {
				const { seq, duplicate } = await publisher.publish(messageOf(row, source));
				result.published.push(row.id);
				if (!duplicate && seq <= (known.get(row.stream) ?? 0)) result.backwards.add(row.stream);
				result.lastSeqs.set(row.stream, Math.max(seq, result.lastSeqs.get(row.stream) ?? 0));
			} catch (error) {
				if ((error as { type?: unknown }).type !== "MESSAGE_REFUSED") {
					result.outage ??= error;
					return;
				}
				const giveUp = row.attempts + 1 >= MAX_REFUSALS;
				result.refused.push({ id: row.id, error: String(error).slice(0, 500), giveUp });
				if (!giveUp) return;
			}
		}
	};
	await Promise.all([...chainsOf(rows).values()].map(publishChain));
	return result;
}

function chainsOf(rows: readonly OutboxRow[]): Map<string, OutboxRow[]> {
	return Map.groupBy(rows, row => (row.aggregate === null ? `row ${row.id}` : `aggregate ${row.aggregate}`));
}

function messageOf(row: OutboxRow, source: string): OutboxMessage {
	const { stream, subject, msg_id, payload, headers, aggregate, version, sequence, created_at } = row;
	return {
		stream,
		subject,
		id: msg_id,
		data: payload,
		headers: {
			...(JSON.parse(headers) as Record<string, string>),
			"content-type": "application/json",
			schema: subject,
			"schema-version": "1",
			"event-id": msg_id,
			"event-time": new Date(created_at).toISOString(),
			source,
			"source-seq": String(sequence),
			...(aggregate !== null && { aggregate }),
			...(version !== null && { version: String(version) })
		}
	};
}
