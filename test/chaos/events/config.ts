import type { ConsumerDefinition, StreamDefinition } from "../../../mixins/channels/transport.ts";

/** What breaks the platform on purpose, to see that the checker notices. */
export type Mutation = "none" | "no-version-guard" | "no-inbox" | "dual-write" | "ack-before-work";

export const MUTATIONS: readonly Mutation[] = ["no-version-guard", "no-inbox", "dual-write", "ack-before-work"];

/** Where a process ends itself: on the way from the transaction to the stream, and from the stream to the effect. */
export const WRITER_POINTS = ["in-transaction", "committed", "claimed", "read", "published"] as const;
export const READER_POINTS = ["fetched", "in-effect", "handled", "acknowledged"] as const;

/** What a process of the chaos run is told. */
export interface ProcessConfig {
	role: "writer" | "reader";
	source: string;
	read: string;
	nats: string;
	seed: number;
	mutation: Mutation;
	/** Pause between two writes, in milliseconds. */
	pause: number;
	crash?: { point: string; after: number };
	/** Whether the reader still stumbles over poison. */
	poison: boolean;
}

/** Shorter than an outage of the test. */
export const DUPLICATE_WINDOW_S = 2;
export const ACCOUNTS = 20;

export const streams: StreamDefinition[] = [
	{ name: "FACTS", subjects: ["account.>"], maxAge: 3600, duplicateWindow: DUPLICATE_WINDOW_S },
	{ name: "DEAD", subjects: ["dead.>"], maxAge: 3600, duplicateWindow: DUPLICATE_WINDOW_S }
];

const quick = { stream: "FACTS", ackWait: 1_000, maxAttempts: 8, retryDelay: 30 };
export const consumers: ConsumerDefinition[] = [
	/** Count and sum of each account: every loss and every duplicate shows for ever. */
	{ name: "adder", ...quick },
	/** Each account's changes in order. */
	{ name: "ledger", ...quick }
];

/** A generator of numbers from 0 to 1 that repeats itself for a seed (mulberry32). */
export function random(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
	};
}
