import type { Service } from "moleculer";
import type { ConnectionOptions } from "nats";
import { DeadLetters } from "./dead-letters.ts";
import { withMeshNames } from "./mesh-names.ts";
import { sealed } from "./sealed.ts";
import { acquireTransport, type SharedTransport } from "./shared-transport.ts";
import {
	ChannelError,
	type ConsumerDefinition,
	fits,
	MAX_DATA_BYTES,
	type OutgoingMessage,
	type Published,
	type StoredMessage,
	type StreamDefinition,
	type StreamState,
	type Transport,
	takes,
	withDefaults
} from "./transport.ts";

/** What streams and consumers a platform has, and where. */
export interface Platform {
	/** Answers where the streams are, see `acquireTransport`; called at start. */
	url: () => string;
	/** How to reach that NATS, instead of what the URL says: TLS files, credentials. */
	nats?: () => ConnectionOptions;
	/** The name of the mesh, where several share that place: its streams begin with it. Called at start. */
	mesh?: () => string;
	/**
	 * Secrets that seal messages: the first seals, all are valid; none, and nothing is sealed. What comes without a valid seal
	 * reaches no handler and becomes a dead letter, MESSAGE_UNSEALED. Called at start.
	 */
	sealKeys?: () => readonly string[];
	/** All streams of the platform. */
	streams: readonly StreamDefinition[];
	/** All consumers of the platform. */
	consumers: readonly ConsumerDefinition[];
}

/** What the mixin adds to `this` of a service. */
export interface ChannelsMethods {
	/** Where the streams live. */
	channels: Channels;
}

/** The streams of the platform, as one process sees them. */
export class Channels {
	readonly transport: Transport;
	readonly deadLetters: DeadLetters;
	readonly #shared: SharedTransport;
	readonly #platform: Platform;
	readonly #declared = new Map<string, Promise<StreamState>>();
	#stopping = false;

	constructor(platform: Platform, log: Service["logger"]) {
		const { url, nats, sealKeys, mesh } = platform;
		this.#platform = platform;
		this.#shared = acquireTransport(url(), log, nats);
		const [key, ...olderKeys] = sealKeys?.() ?? [];
		const place = key === undefined ? this.#shared.transport : sealed(this.#shared.transport, [key, ...olderKeys]);
		const name = mesh?.() ?? "";
		this.transport = name === "" ? place : withMeshNames(place, name);
		this.deadLetters = new DeadLetters(this);
		// A server that comes back may have lost what it was told.
		this.transport.onReconnect(() => this.#declared.clear());
	}

	/** Makes sure that a stream is there as it is defined; asks the server once. */
	declare(stream: string, { again = false } = {}): Promise<StreamState> {
		const definition = this.#defined(stream);
		if (again) this.#declared.delete(stream);
		const declared = this.#declared.get(stream) ?? this.transport.declareStream(definition);
		this.#declared.set(stream, declared);
		declared.catch(() => this.#declared.delete(stream));
		return declared;
	}

	/** The names of all streams of the platform. */
	get streams(): string[] {
		return this.#platform.streams.map(({ name }) => name);
	}

	/** @throws Error where the table has no such stream, or the stream does not take the subject */
	assertTakes(stream: string, subject: string): void {
		if (!takes(this.#defined(stream), subject))
			throw new Error(`Stream ${stream} does not take the subject ${subject}`);
	}

	/** Whether a consumer gets what is published to a subject of a stream. */
	reaches(consumer: string, { stream, subject }: Pick<StoredMessage, "stream" | "subject">): boolean {
		const { streams, consumers } = this.#platform;
		const defined = consumers.find(({ name }) => name === consumer);
		const taker = streams.find(({ name }) => name === stream);
		if (!taker || defined?.stream !== stream) return false;
		return takes(taker, subject) && fits(withDefaults(defined).subject, subject);
	}

	/**
	 * Stores a message; resolves when the stream has it.
	 * @param options `declare: false`: a stream that is not there is an error, and not made
	 * @throws ChannelError, CHANNELS_STOPPING among others: nothing is ever dropped in silence
	 */
	async publish(message: OutgoingMessage, { declare = true } = {}): Promise<Published> {
		if (this.#stopping) throw new ChannelError("CHANNELS_STOPPING", "The service is stopping");
		const bytes = Buffer.byteLength(message.data);
		if (bytes > MAX_DATA_BYTES) throw new ChannelError("MESSAGE_REFUSED", `The message has ${bytes} bytes`);
		if (!declare) return this.transport.publish(message);
		await this.declare(message.stream);
		try {
			return await this.transport.publish(message);
		} catch (error) {
			if (!(error instanceof ChannelError) || error.type !== "STREAM_NOT_FOUND") throw error;
			await this.declare(message.stream, { again: true });
			return this.transport.publish(message);
		}
	}

	#defined(stream: string): StreamDefinition {
		const definition = this.#platform.streams.find(({ name }) => name === stream);
		if (!definition) throw new Error(`No stream ${stream} is defined`);
		return definition;
	}

	/** From now on nothing is published any more. */
	stop(): void {
		this.#stopping = true;
	}

	async close(): Promise<void> {
		this.stop();
		await this.#shared.release();
	}
}
