import { unescape as decoded } from "node:querystring";
import {
	ChannelError,
	type ChannelErrorType,
	type Delivery,
	type Headers,
	type OutgoingMessage,
	type Published,
	type StoredMessage,
	type Transport
} from "./transport.ts";

/** Where dead letters go: their stream, and the first part of its subjects, `dead.<stream>.<consumer>`. */
export const DEAD_LETTERS = { stream: "DEAD", prefix: "dead" };

/** Headers of a dead letter beside those of the message itself. */
const DEAD = {
	stream: "x-dead-stream",
	seq: "x-dead-seq",
	subject: "x-dead-subject",
	consumer: "x-dead-consumer",
	attempts: "x-dead-attempts",
	firstSeen: "x-dead-first-seen",
	errorName: "x-dead-error-name",
	errorCode: "x-dead-error-code",
	errorMessage: "x-dead-error-message",
	errorStack: "x-dead-error-stack"
} as const;

/** A replayed message is for the consumer that gave it up, and nobody else. */
export const REPLAY_FOR = "x-replay-for";

/** A header is one line; the whole of them must leave room for the message. */
const LONGEST_TEXT = 4_000;

/** Why a dead letter is left out where all are replayed. */
const LEFT_OUT: readonly ChannelErrorType[] = ["DEAD_LETTER_NOT_FOUND", "DEAD_LETTER_UNDELIVERABLE"];

/** The code of what has no valid seal: a message that became a dead letter for that, or the letter itself. */
const UNSEALED: ChannelErrorType = "MESSAGE_UNSEALED";

/** A message that a consumer has given up. */
export interface DeadLetter {
	/** Its number in the stream of dead letters. */
	id: number;
	/** RFC 3339. */
	buried_at: string;
	first_seen: string;
	consumer: string;
	stream: string;
	seq: number;
	subject: string;
	attempts: number;
	error: { name: string; code: string; message: string; stack: string };
	/** The message as it was. */
	headers: Headers;
	data: string;
}

/** Narrows a list of dead letters. */
export interface DeadLetterFilter {
	consumer?: string | undefined;
	/** Letters with a greater number than this. */
	after?: number | undefined;
	/** Default 50. */
	limit?: number | undefined;
}

/** What dead letters need of the channels. */
interface Streams {
	transport: Pick<Transport, "next" | "remove" | "streamState">;
	declare(stream: string): Promise<unknown>;
	publish(message: OutgoingMessage): Promise<Published>;
	reaches(consumer: string, message: Pick<StoredMessage, "stream" | "subject">): boolean;
}

/** Keeps what consumers give up in a stream, until somebody replays or discards it. */
export class DeadLetters {
	readonly #streams: Streams;

	constructor(streams: Streams) {
		this.#streams = streams;
	}

	/** Stores a message with all its headers and the error. Resolves when it is stored: only then it may be acknowledged. */
	async bury(delivery: StoredMessage & Pick<Delivery, "attempts">, consumer: string, error: unknown): Promise<void> {
		const { stream, seq, subject, headers, data, attempts, time } = delivery;
		const { name, code, message, stack } = described(error);
		await this.#streams.publish({
			stream: DEAD_LETTERS.stream,
			subject: `${DEAD_LETTERS.prefix}.${stream}.${consumer}`,
			// The message's own id belongs to it: a stream that was made anew gives its numbers again.
			id: `dlq:${stream}:${consumer}:${seq}:${headers["event-id"] ?? time}`,
			headers: {
				...headers,
				[DEAD.stream]: stream,
				[DEAD.seq]: String(seq),
				[DEAD.subject]: subject,
				[DEAD.consumer]: consumer,
				[DEAD.attempts]: String(attempts),
				[DEAD.firstSeen]: new Date(time).toISOString(),
				[DEAD.errorName]: encoded(name),
				[DEAD.errorCode]: encoded(code),
				[DEAD.errorMessage]: encoded(message),
				[DEAD.errorStack]: encoded(stack)
			},
			data
		});
	}

	/** Dead letters, the oldest first. */
	async list({ consumer, after = 0, limit = 50 }: DeadLetterFilter = {}): Promise<DeadLetter[]> {
		await this.#streams.declare(DEAD_LETTERS.stream);
		const pattern = `${DEAD_LETTERS.prefix}.*.${consumer ?? "*"}`;
		const letters: DeadLetter[] = [];
		for (let seq = after + 1; letters.length < limit; ) {
			const found = await this.#streams.transport.next(DEAD_LETTERS.stream, seq, pattern);
			if (!found) break;
			letters.push(letterOf(found));
			seq = found.seq + 1;
		}
		return letters;
	}

	/** @throws ChannelError DEAD_LETTER_NOT_FOUND */
	async get(id: number): Promise<DeadLetter> {
		await this.#streams.declare(DEAD_LETTERS.stream);
		const found = await this.#streams.transport.next(DEAD_LETTERS.stream, id, `${DEAD_LETTERS.prefix}.>`);
		if (found?.seq !== id) throw new ChannelError("DEAD_LETTER_NOT_FOUND", `There is no dead letter ${id}`);
		return letterOf(found);
	}

	/**
	 * Sends a dead letter to its consumer again. It travels under a new message id, since the stream would swallow the
	 * old one, and with the old event id, by which an inbox knows what it has done already. Of several who replay it at the same
	 * time, the stream takes one. Where messages are sealed it is sealed anew: who replays an unsealed one vouches for it.
	 * @throws ChannelError DEAD_LETTER_NOT_FOUND, DEAD_LETTER_UNDELIVERABLE
	 */
	async replay(id: number): Promise<DeadLetter> {
		const letter = await this.get(id);
		const { stream, subject, headers, data, consumer } = letter;
		if (!this.#streams.reaches(consumer, letter))
			throw new ChannelError("DEAD_LETTER_UNDELIVERABLE", `No consumer ${consumer} reads ${subject} in ${stream}`);
		await this.#streams.publish({
			stream,
			subject,
			data,
			id: `replay:${id}:${letter.buried_at}`,
			headers: { ...headers, [REPLAY_FOR]: consumer }
		});
		await this.#streams.transport.remove(DEAD_LETTERS.stream, id);
		return letter;
	}

	/**
	 * Replays all dead letters that were there at the beginning, the oldest first, but for those that somebody else replays or
	 * discards meanwhile, and those that nobody would get or that have no valid seal, which stay.
	 * @returns the numbers of those that were replayed
	 */
	async replayAll(consumer?: string): Promise<number[]> {
		await this.#streams.declare(DEAD_LETTERS.stream);
		const { lastSeq } = await this.#streams.transport.streamState(DEAD_LETTERS.stream);
		const replayed: number[] = [];
		for (let after = 0; ; ) {
			const letters = (await this.list({ consumer, after })).filter(letter => letter.id <= lastSeq);
			const trusted = letters.filter(({ error }) => error.code !== UNSEALED);
			for (const { id } of trusted)
				try {
					replayed.push((await this.replay(id)).id);
				} catch (error) {
					if (!(error instanceof ChannelError) || !LEFT_OUT.includes(error.type)) throw error;
				}
			const last = letters.at(-1);
			if (!last) return replayed;
			after = last.id;
		}
	}

	/** Removes a dead letter for good. @throws ChannelError DEAD_LETTER_NOT_FOUND */
	async discard(id: number): Promise<DeadLetter> {
		const letter = await this.get(id);
		await this.#streams.transport.remove(DEAD_LETTERS.stream, id);
		return letter;
	}
}

function described(error: unknown) {
	const { name, code, type, message, stack } = (
		typeof error === "object" && error !== null ? error : { message: String(error) }
	) as Record<string, unknown>;
	const text = (value: unknown) => String(value ?? "").slice(0, LONGEST_TEXT);
	return { name: text(name), code: text(type ?? code), message: text(message), stack: text(stack) };
}

/** A header is ASCII on one line. */
function encoded(text: string): string {
	return encodeURIComponent(text.toWellFormed())
		.slice(0, LONGEST_TEXT)
		.replace(/%[0-9A-F]?$/, "");
}

function letterOf({ seq: id, headers, data, time, unsealed }: StoredMessage): DeadLetter {
	const added: readonly string[] = Object.values(DEAD);
	// A text may have been cut in the middle of a character, which `decodeURIComponent` takes for an error.
	const text = (header: string) => decoded(headers[header] ?? "");
	const error = {
		name: text(DEAD.errorName),
		code: text(DEAD.errorCode),
		message: text(DEAD.errorMessage),
		stack: text(DEAD.errorStack)
	};
	return {
		id,
		buried_at: new Date(time).toISOString(),
		first_seen: headers[DEAD.firstSeen] ?? "",
		consumer: headers[DEAD.consumer] ?? "",
		stream: headers[DEAD.stream] ?? "",
		seq: Number(headers[DEAD.seq]),
		subject: headers[DEAD.subject] ?? "",
		attempts: Number(headers[DEAD.attempts]),
		error: unsealed ? { ...error, code: UNSEALED, message: "The dead letter itself has no valid seal" } : error,
		headers: Object.fromEntries(
			Object.entries(headers).filter(([name]) => !added.includes(name) && name !== REPLAY_FOR)
		),
		data
	};
}
