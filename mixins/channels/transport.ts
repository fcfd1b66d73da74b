/** A durable, append-only log of messages. */
export interface StreamDefinition {
	name: string;
	/** Subject patterns that it stores: `*` stands for one token, `>` for the rest. */
	subjects: readonly string[];
	/** How long a message is kept, in seconds; 0: for ever. */
	maxAge: number;
	/** How long a message id is remembered, in seconds. Default 120, or `maxAge` where that is less. */
	duplicateWindow?: number;
	/** Nobody may delete or purge its messages. JetStream cannot take this back. */
	appendOnly?: boolean;
	/** JetStream: copies in a cluster. Default 1. */
	replicas?: number;
}

/** A durable consumer: it remembers what has been handled, whichever process does the handling. */
export interface ConsumerDefinition {
	name: string;
	stream: string;
	/** The one subject (pattern) it gets; everything in the stream by default. */
	subject?: string;
	/** How many handlers run at once in one process. Default 10. */
	concurrency?: number;
	/** A message that is neither acknowledged nor worked on for so long is delivered again, in milliseconds. Default 10 000. */
	ackWait?: number;
	/** How many messages may be unacknowledged over all processes. Default 1000. */
	maxAckPending?: number;
	/** How often a message is tried before it becomes a dead letter. Default 12: about 8 minutes with the default delays. */
	maxAttempts?: number;
	/** The delay before the first retry, in milliseconds; it doubles, up to 5 minutes. Default 250. */
	retryDelay?: number;
	/** Messages with the same header are handled one after the other: "aggregate" (default), "source", or not at all. */
	orderBy?: "aggregate" | "source" | "none";
	/**
	 * How many messages of one key a process handles at once, begun in their order: for handlers that put what they get at
	 * one time into one transaction. What fails then is handled again, one after the other. Default 1.
	 */
	together?: number;
}

/** Headers by lower-case name. */
export type Headers = Readonly<Record<string, string>>;

/** A header's value as it comes back from every transport: one line, no blanks around it. */
export function headerValue(text: string): string {
	return text.replace(/[\r\n]+/g, " ").trim();
}

/** A message to be stored. */
export interface OutgoingMessage {
	/** The stream that must store it. */
	stream: string;
	subject: string;
	/** A stream stores one message per id and duplicate window. */
	id: string;
	headers: Headers;
	data: string;
}

/** A stream's word that it has a message. */
export interface Published {
	stream: string;
	seq: number;
	/** It had the id already. */
	duplicate: boolean;
}

/** A message in a stream. */
export interface StoredMessage {
	stream: string;
	seq: number;
	subject: string;
	headers: Headers;
	data: string;
	/** When the stream stored it, in milliseconds since the epoch. */
	time: number;
	/** Where messages are sealed (`sealed.ts`): it has no seal of a known key, so anybody may have published it. */
	unsealed?: true;
}

/** A message handed to a consumer. */
export interface Delivery extends StoredMessage {
	/** How often it has been handed out, this time included. */
	attempts: number;
	/** Says that it is done; resolves when the stream knows. */
	ack(): Promise<void>;
	/** Asks for it again after `delay` milliseconds. */
	retry(delay: number): Promise<void>;
	/** Says that it is still being worked on. */
	working(): void;
}

/** What identifies a stream's content. A later `created` or a smaller `lastSeq` than before means that messages were lost. */
export interface StreamState {
	/** RFC 3339. */
	created: string;
	lastSeq: number;
}

/** How far a consumer is. */
export interface ConsumerState {
	/** Messages that were not handed out yet. */
	waiting: number;
	/** Messages that were handed out and not acknowledged. */
	pending: number;
}

/** A consumer that is being served. */
export interface Subscription {
	/** Stops pulling; what was pulled and not accepted is asked for again. Resolves when `accept` will not be called any more. */
	stop(): Promise<void>;
}

/** Takes a delivery over; the next one is handed out when it resolves. */
export type Accept = (delivery: Delivery) => Promise<void>;

/** Who is told what happens on the way. */
export interface Log {
	info(message: string, ...details: unknown[]): void;
	warn(message: string, ...details: unknown[]): void;
	error(message: string, ...details: unknown[]): void;
}

/** Where streams live: JetStream, or a file of this process. */
export interface Transport {
	/** Creates a stream or makes it as it is defined. */
	declareStream(definition: StreamDefinition): Promise<StreamState>;
	/** Creates a consumer or makes it as it is defined. Its stream must be there. */
	declareConsumer(definition: ConsumerDefinition): Promise<void>;
	/** Resolves when the message is stored. @throws ChannelError */
	publish(message: OutgoingMessage): Promise<Published>;
	/** Serves a consumer until it is stopped; `declare` is called before the first pull and whenever something vanished. */
	subscribe(definition: ConsumerDefinition, declare: () => Promise<unknown>, accept: Accept): Subscription;
	/** @throws ChannelError STREAM_NOT_FOUND */
	streamState(stream: string): Promise<StreamState>;
	consumerState(definition: ConsumerDefinition): Promise<ConsumerState>;
	/** The first message from `seq` on that the pattern fits, null where there is none. */
	next(stream: string, seq: number, subject: string): Promise<StoredMessage | null>;
	/** @returns whether it was there */
	remove(stream: string, seq: number): Promise<boolean>;
	/** Calls a function after each connection that was not the first. */
	onReconnect(listener: () => void): void;
	close(): Promise<void>;
}

/** What a transport, or what is built on it, can not do. */
export type ChannelErrorType =
	/** The stream does not take the message, now or later. */
	| "MESSAGE_REFUSED"
	/** Nobody answered, or not in time: try again. */
	| "CHANNELS_UNAVAILABLE"
	| "CHANNELS_STOPPING"
	| "STREAM_NOT_FOUND"
	| "DEAD_LETTER_NOT_FOUND"
	/** Its stream or its consumer is not defined any more: replayed, it would be lost. */
	| "DEAD_LETTER_UNDELIVERABLE"
	/** Anybody may have published the message: no handler gets it. */
	| "MESSAGE_UNSEALED";

const CODES: Partial<Record<ChannelErrorType, number>> = {
	DEAD_LETTER_NOT_FOUND: 404,
	DEAD_LETTER_UNDELIVERABLE: 409
};

/**
 * The most bytes of a message. NATS takes 1 MB by default, headers included; the rest is for those, and for what a dead letter
 * adds: what can be published can be buried.
 */
export const MAX_DATA_BYTES = 1_048_576 - 32_768;

/** An error of the channel layer; matched by `type`. */
export class ChannelError extends Error {
	readonly type: ChannelErrorType;
	readonly code: number;

	constructor(type: ChannelErrorType, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = "ChannelError";
		this.type = type;
		this.code = CODES[type] ?? 503;
	}
}

/** Whether a subject fits a pattern with `*` and `>`. */
export function fits(pattern: string, subject: string): boolean {
	const parts = pattern.split(".");
	const tokens = subject.split(".");
	for (const [i, part] of parts.entries()) {
		if (part === ">") return tokens.length > i;
		if (tokens[i] === undefined || (part !== "*" && part !== tokens[i])) return false;
	}
	return parts.length === tokens.length;
}

/** Whether a stream stores what is published to a subject. */
export function takes({ subjects }: StreamDefinition, subject: string): boolean {
	return subjects.some(pattern => fits(pattern, subject));
}

/** Whether some subject fits both of two patterns. */
export function overlap(one: string, other: string): boolean {
	const parts = one.split(".");
	const others = other.split(".");
	for (const [i, part] of parts.entries()) {
		const beside = others[i];
		if (beside === undefined) return false;
		if (part === ">" || beside === ">") return true;
		if (part !== beside && part !== "*" && beside !== "*") return false;
	}
	return parts.length === others.length;
}

/** For how many seconds a stream knows a message id. JetStream refuses more than messages are kept for. */
export function duplicateWindowOf({ maxAge, duplicateWindow }: StreamDefinition): number {
	return duplicateWindow ?? Math.min(120, maxAge || 120);
}

/** A consumer's settings with the defaults filled in, also for what is undefined, as of a configuration that leaves it out. */
export function withDefaults({
	subject = ">",
	concurrency = 10,
	ackWait = 10_000,
	maxAckPending = 1000,
	maxAttempts = 12,
	retryDelay = 250,
	orderBy = "aggregate",
	together = 1,
	...named
}: ConsumerDefinition): Required<ConsumerDefinition> {
	return { ...named, subject, concurrency, ackWait, maxAckPending, maxAttempts, retryDelay, orderBy, together };
}
