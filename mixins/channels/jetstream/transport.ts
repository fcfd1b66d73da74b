import { setTimeout as delay } from "node:timers/promises";
import {
	type ConnectionOptions,
	ErrorCode,
	type JetStreamClient,
	type JetStreamManager,
	type NatsConnection,
	NatsError,
	type SeqMsgRequest,
	type StoredMsg,
	type StreamInfo
} from "nats";
import {
	type Accept,
	ChannelError,
	type ConsumerDefinition,
	type ConsumerState,
	type Log,
	type OutgoingMessage,
	type Published,
	type StoredMessage,
	type StreamDefinition,
	type StreamState,
	type Subscription,
	type Transport
} from "../transport.ts";
import { connectForever } from "./connection.ts";
import { apiErrorOf, declareConsumer, declareStream, isStreamMissing } from "./declare.ts";
import { headersOf, natsHeaders } from "./headers.ts";
import { StreamPublisher } from "./publisher.ts";
import { JetStreamSubscription } from "./subscription.ts";

const PUBLISH_TIMEOUT_MS = 5_000;
const NO_MESSAGE_FOUND = 10_037;
/** Whatever the reason; mostly that there is no such message. */
const DELETE_FAILED = 10_057;
/** "message size exceeds maximum allowed", by the stream. */
const TOO_LARGE = 10_054;

interface Connected {
	connection: NatsConnection;
	client: JetStreamClient;
	manager: JetStreamManager;
	publisher: StreamPublisher;
}

/** Streams in NATS JetStream, server 2.9 and later. The connection is made at the first use and kept for ever. */
export class JetStreamTransport implements Transport {
	readonly #nats: () => ConnectionOptions;
	readonly #log: Log;
	readonly #reconnected = new Set<() => void>();
	#connected: Promise<Connected> | undefined;
	readonly #closing = new AbortController();

	/** @param nats how to reach the server; asked for at the first use */
	constructor(nats: () => ConnectionOptions, log: Log) {
		this.#nats = nats;
		this.#log = log;
	}

	async declareStream(definition: StreamDefinition): Promise<StreamState> {
		const { manager } = await this.#connect();
		return stateOf(await declareStream(manager, definition, message => this.#log.info(message)));
	}

	async declareConsumer(definition: ConsumerDefinition): Promise<void> {
		const { manager } = await this.#connect();
		await declareConsumer(manager, definition, message => this.#log.info(message));
	}

	async publish({ stream, subject, id, headers, data }: OutgoingMessage): Promise<Published> {
		const { publisher } = await this.#connect();
		try {
			const own = { ...headers, "Nats-Msg-Id": id, "Nats-Expected-Stream": stream };
			return { stream, ...(await publisher.publish(subject, data, natsHeaders(own))) };
		} catch (error) {
			throw refusal(error, stream);
		}
	}

	subscribe(definition: ConsumerDefinition, declare: () => Promise<unknown>, accept: Accept): Subscription {
		return new JetStreamSubscription({
			client: async () => (await this.#connect()).client,
			definition,
			declare,
			accept,
			warn: (message, error) => this.#log.warn(message, error)
		});
	}

	async streamState(stream: string): Promise<StreamState> {
		const { manager } = await this.#connect();
		try {
			return stateOf(await manager.streams.info(stream));
		} catch (error) {
			if (isStreamMissing(error)) throw missing(stream, error);
			throw error;
		}
	}

	async consumerState({ stream, name }: ConsumerDefinition): Promise<ConsumerState> {
		const { manager } = await this.#connect();
		const info = await manager.consumers.info(stream, name);
		return { waiting: info.num_pending, pending: info.num_ack_pending };
	}

	async next(stream: string, seq: number, subject: string): Promise<StoredMessage | null> {
		const { manager } = await this.#connect();
		try {
			// The server has known `next_by_subj` since 2.9, the client's type for this request has not.
			const query = { seq, next_by_subj: subject } as SeqMsgRequest;
			return stored(stream, await manager.streams.getMessage(stream, query));
		} catch (error) {
			if (apiErrorOf(error) === NO_MESSAGE_FOUND) return null;
			throw error;
		}
	}

	async remove(stream: string, seq: number): Promise<boolean> {
		const { manager } = await this.#connect();
		try {
			return await manager.streams.deleteMessage(stream, seq, false);
		} catch (error) {
			if (apiErrorOf(error) === DELETE_FAILED && !(await this.#has(stream, seq))) return false;
			throw error;
		}
	}

	async #has(stream: string, seq: number): Promise<boolean> {
		const { manager } = await this.#connect();
		try {
			await manager.streams.getMessage(stream, { seq });
			return true;
		} catch (error) {
			if (apiErrorOf(error) === NO_MESSAGE_FOUND) return false;
			throw error;
		}
	}

	onReconnect(listener: () => void): void {
		this.#reconnected.add(listener);
	}

	async close(): Promise<void> {
		this.#closing.abort(new ChannelError("CHANNELS_STOPPING", "The channels are closed"));
		const closing = this.#connected?.then(({ connection }) => connection.drain());
		await Promise.race([closing?.catch(() => {}), delay(2_000, undefined, { ref: false })]);
	}

	#connect(): Promise<Connected> {
		this.#closing.signal.throwIfAborted();
		this.#connected ??= this.#open().catch(error => {
			this.#connected = undefined;
			throw error;
		});
		return this.#connected;
	}

	async #open(): Promise<Connected> {
		const options = this.#nats();
		const connection = await connectForever(
			{ ...options, name: "channels" },
			{
				onReconnect: () => {
					for (const listener of this.#reconnected) listener();
				},
				onFailure: error => this.#log.warn("NATS can not be reached for the channels, trying again", error),
				signal: this.#closing.signal
			}
		);
		const client = connection.jetstream({ timeout: PUBLISH_TIMEOUT_MS });
		// The check would fail while JetStream is starting, and then never be made again.
		const manager = await connection.jetstreamManager({ checkAPI: false, timeout: PUBLISH_TIMEOUT_MS });
		const publisher = new StreamPublisher(connection, PUBLISH_TIMEOUT_MS, options);
		return { connection, client, manager, publisher };
	}
}

function stateOf({ created, state }: StreamInfo): StreamState {
	return { created, lastSeq: state.last_seq };
}

function stored(stream: string, message: StoredMsg): StoredMessage {
	return {
		stream,
		seq: message.seq,
		subject: message.subject,
		headers: headersOf(message.header),
		data: message.string(),
		time: message.time.getTime()
	};
}

/** Why a message was not stored. Only what is wrong with the message itself is a refusal; all else may pass. */
function refusal(error: unknown, stream: string): ChannelError {
	if (error instanceof NatsError) {
		const tooLarge = error.code === ErrorCode.MaxPayloadExceeded || apiErrorOf(error) === TOO_LARGE;
		if (tooLarge || error.code === ErrorCode.BadSubject)
			return new ChannelError("MESSAGE_REFUSED", error.message, { cause: error });
		// Nobody answers on a subject that no stream takes.
		if (error.code === ErrorCode.NoResponders || isStreamMissing(error)) return missing(stream, error);
	}
	return new ChannelError("CHANNELS_UNAVAILABLE", `Stream ${stream} did not answer: ${String(error)}`, {
		cause: error
	});
}

function missing(stream: string, cause: unknown): ChannelError {
	return new ChannelError("STREAM_NOT_FOUND", `There is no stream ${stream}, or JetStream does not run`, { cause });
}
