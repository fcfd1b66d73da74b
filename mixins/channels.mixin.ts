import type { Context, Service, ServiceSchema } from "moleculer";
import type { ConnectionOptions } from "nats";
import { apart } from "./channels/apart.ts";
import { assertServable } from "./channels/check.ts";
import { DeadLetters } from "./channels/dead-letters.ts";
import { acquireTransport, type SharedTransport } from "./channels/hub.ts";
import { registerMetrics } from "./channels/metrics.ts";
import type { ProbePoint } from "./channels/observer.ts";
import { sealed } from "./channels/sealed.ts";
import { ServedConsumer } from "./channels/served-consumer.ts";
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
	settled,
	type Transport
} from "./channels/transport.ts";

/** Options of the mixin. */
export interface ChannelsOptions {
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
	/** The stream of dead letters, one of `streams`, and the first part of its subjects. Default DEAD and `dead`. */
	deadLetters?: { stream: string; prefix: string };
	/** How long a stopping service waits for its handlers, in milliseconds. Default 10 000. */
	patience?: number;
	/** For tests: see `Observer.probe`. */
	probe?: (point: ProbePoint, message: StoredMessage) => void | Promise<void>;
}

/** A message as a handler gets it beside the context. */
export interface ChannelMessage extends StoredMessage {
	/** The id of the fact, the same in every delivery and replay. */
	id: string;
	/** From 1. */
	attempts: number;
}

/** Handles one message; a rejection means that it comes again. */
export type ChannelHandler<Payload = never, This = unknown> = (
	this: This,
	ctx: Context<Payload, Record<string, unknown>>,
	message: ChannelMessage
) => Promise<void>;

declare module "moleculer" {
	// The type parameters are moleculer's own: an interface is merged only under the same ones.
	interface ServiceSchema<
		TSettings = import("moleculer").ServiceSettingSchema,
		// biome-ignore lint/suspicious/noExplicitAny: moleculer's defaults, which a merged interface must repeat
		TMethods = Record<string, any>,
		// biome-ignore lint/suspicious/noExplicitAny: as above
		TVars = Record<string, any>,
		TThis = Service<TSettings> & TVars & TMethods
	> {
		/** Handlers of durable messages, by the name of their consumer. */
		channels?: Record<string, ChannelHandler<never, TThis>>;
	}
}

/** What the mixin adds to `this` of a service. */
export interface ChannelsMethods {
	/** Where the streams live. */
	channels: Channels;
}

const DEAD_LETTERS = { stream: "DEAD", prefix: "dead" };

type ChannelsService = Service & ChannelsMethods;

/** The streams of the platform, as one process sees them. */
export class Channels {
	readonly transport: Transport;
	readonly deadLetters: DeadLetters;
	readonly #shared: SharedTransport;
	readonly #options: ChannelsOptions;
	readonly #declared = new Map<string, Promise<StreamState>>();
	#stopping = false;

	constructor(options: ChannelsOptions, log: Service["logger"]) {
		const { stream, prefix } = options.deadLetters ?? DEAD_LETTERS;
		this.#options = options;
		this.#shared = acquireTransport(options.url(), log, options.nats);
		const [key, ...olderKeys] = options.sealKeys?.() ?? [];
		const place = key === undefined ? this.#shared.transport : sealed(this.#shared.transport, [key, ...olderKeys]);
		const mesh = options.mesh?.() ?? "";
		this.transport = mesh === "" ? place : apart(place, mesh);
		this.deadLetters = new DeadLetters(this, stream, prefix);
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
		return this.#options.streams.map(({ name }) => name);
	}

	/** @throws Error where the table has no such stream, or the stream does not take the subject */
	assertTakes(stream: string, subject: string): void {
		if (!this.#defined(stream).subjects.some(pattern => fits(pattern, subject)))
			throw new Error(`Stream ${stream} does not take the subject ${subject}`);
	}

	/** Whether a consumer gets what is published to a subject of a stream. */
	reaches(consumer: string, { stream, subject }: Pick<StoredMessage, "stream" | "subject">): boolean {
		const { streams, consumers } = this.#options;
		const defined = consumers.find(({ name }) => name === consumer);
		const taken = streams.find(({ name }) => name === stream)?.subjects.some(pattern => fits(pattern, subject));
		return taken === true && defined?.stream === stream && fits(settled(defined).subject, subject);
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
		const definition = this.#options.streams.find(({ name }) => name === stream);
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

/** What of a merged schema concerns us: moleculer has made lists of its lifecycle handlers. */
interface Merged {
	name: string;
	channels?: Record<string, ChannelHandler>;
	started?: Hook[];
	stopped?: Hook[];
}

type Hook = (this: Service) => unknown;

/**
 * Gives a service durable messages: `channels: { "<consumer>": async handler(ctx, message) }` in its schema, beside
 * `actions` and `events`, and `this.channels` to publish. Handlers run from the end of the service's `started` to the
 * beginning of its `stopped`. See mixins/channels/README.md.
 */
export function ChannelsMixin(options: ChannelsOptions): Partial<ServiceSchema> {
	const { consumers: definitions, deadLetters = DEAD_LETTERS, patience = 10_000, probe } = options;
	const serving = new WeakMap<Service, ServedConsumer[]>();

	const schema: Partial<ServiceSchema> & { merged(merged: Merged): void } = {
		merged(merged) {
			const handlers = Object.entries(merged.channels ?? {}).map(([name, handler]) => {
				const definition = definitions.find(consumer => consumer.name === name);
				if (!definition) throw new Error(`Service '${merged.name}' handles '${name}', which is no consumer`);
				assertServable(definition, options.streams, deadLetters);
				return { definition, handler, ...(probe && { probe }) };
			});

			const serve: Hook = function () {
				const { channels } = this as ChannelsService;
				serving.set(
					this,
					handlers.map(handler => new ServedConsumer({ service: this, channels, ...handler }))
				);
			};
			const stopServing: Hook = async function () {
				await Promise.all((serving.get(this) ?? []).map(consumer => consumer.stop(patience)));
			};
			// The last one that starts, and the first one that stops: moleculer runs this list from its end.
			merged.started = [merged.started ?? [], serve].flat();
			merged.stopped = [merged.stopped ?? [], stopServing].flat();
		},

		started() {
			registerMetrics(this.broker);
			this.channels = new Channels(options, this.logger);
		},

		async stopped() {
			await (this as Partial<ChannelsMethods>).channels?.close();
		}
	};
	return schema;
}
