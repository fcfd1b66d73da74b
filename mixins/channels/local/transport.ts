import { setImmediate as nextTurn } from "node:timers/promises";
import DataLoader from "dataloader";
import {
	type Accept,
	ChannelError,
	type ConsumerDefinition,
	type ConsumerState,
	duplicateWindowOf,
	fits,
	type Log,
	type OutgoingMessage,
	type Published,
	type StoredMessage,
	type StreamDefinition,
	type StreamState,
	type Subscription,
	type Transport,
	takes
} from "../transport.ts";
import { type Appended, LocalStore, type MessageRow } from "./store.ts";
import { LocalSubscription } from "./subscription.ts";

/** JetStream's default for one message. */
const MAX_MESSAGE_BYTES = 1_048_576;
const CLEANING_MS = 60_000;
/** Keeps a transaction from holding the event loop: it takes some 20 microseconds a message. */
const MOST_AT_ONCE = 50;
/** As above: old messages are removed so many at a time, some 3 microseconds each. */
const REMOVED_AT_ONCE = 500;

/** Streams in a file of this machine, for a platform in one process: the promises of JetStream without a server. */
export class LocalTransport implements Transport {
	readonly #store: LocalStore;
	readonly #log: Log;
	readonly #streams = new Map<string, StreamDefinition>();
	readonly #subscriptions = new Set<LocalSubscription>();
	readonly #cleaning: NodeJS.Timeout;
	/** What is published at the same time is stored in one transaction. */
	readonly #appending = new DataLoader<{ message: OutgoingMessage; since: number }, Appended>(
		async messages => this.#append(messages),
		{ cache: false, maxBatchSize: MOST_AT_ONCE }
	);
	#closed = false;

	constructor(file: string, log: Log) {
		this.#store = new LocalStore(file);
		this.#log = log;
		const clean = () => this.#clean().catch(error => log.warn("Old messages could not be removed", error));
		this.#cleaning = setInterval(clean, CLEANING_MS).unref();
	}

	async declareStream(definition: StreamDefinition): Promise<StreamState> {
		this.#assertOpen();
		this.#streams.set(definition.name, definition);
		this.#store.declareStream(definition, Date.now());
		return this.streamState(definition.name);
	}

	async declareConsumer({ stream, name }: ConsumerDefinition): Promise<void> {
		this.#assertOpen();
		this.#store.declareConsumer(stream, name);
	}

	async publish(message: OutgoingMessage): Promise<Published> {
		this.#assertOpen();
		const { stream, subject, data } = message;
		const definition = this.#definition(stream);
		if (!takes(definition, subject))
			throw new ChannelError("STREAM_NOT_FOUND", `Stream ${stream} does not take the subject ${subject}`);
		const size = Buffer.byteLength(data) + Buffer.byteLength(JSON.stringify(message.headers));
		if (size > MAX_MESSAGE_BYTES) throw new ChannelError("MESSAGE_REFUSED", `The message has ${size} bytes`);

		const since = Date.now() - duplicateWindowOf(definition) * 1000;
		return { stream, ...(await this.#appending.load({ message, since })) };
	}

	subscribe(definition: ConsumerDefinition, declare: () => Promise<unknown>, accept: Accept): Subscription {
		const warn = (message: string, error?: unknown) => this.#log.warn(message, error);
		const subscription = new LocalSubscription({ store: this.#store, definition, declare, accept, warn });
		this.#subscriptions.add(subscription);
		return {
			stop: async () => {
				await subscription.stop();
				this.#subscriptions.delete(subscription);
			}
		};
	}

	async streamState(stream: string): Promise<StreamState> {
		this.#assertOpen();
		const state = this.#store.streamState(stream);
		if (!state) throw new ChannelError("STREAM_NOT_FOUND", `There is no stream ${stream}`);
		return state;
	}

	async consumerState({ stream, name }: ConsumerDefinition): Promise<ConsumerState> {
		return this.#store.consumerState(stream, name);
	}

	async next(stream: string, seq: number, subject: string): Promise<StoredMessage | null> {
		for (const row of this.#store.from(stream, seq)) if (fits(subject, row.subject)) return stored(stream, row);
		return null;
	}

	async remove(stream: string, seq: number): Promise<boolean> {
		if (this.#definition(stream).appendOnly)
			throw new ChannelError("MESSAGE_REFUSED", `Stream ${stream} is append-only`);
		return this.#store.remove(stream, seq);
	}

	/** A file is never away. */
	onReconnect(): void {}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		clearInterval(this.#cleaning);
		await Promise.all([...this.#subscriptions].map(subscription => subscription.stop()));
		this.#store.close();
	}

	#append(messages: readonly { message: OutgoingMessage; since: number }[]): Appended[] {
		this.#assertOpen();
		const stored = this.#store.append(messages, Date.now());
		// In a turn of its own, as from a server: a publisher is never slowed down by the handlers.
		setImmediate(() => {
			for (const subscription of this.#subscriptions) subscription.wake();
		});
		return stored;
	}

	async #clean(): Promise<void> {
		for (const { name, maxAge } of this.#streams.values()) {
			if (maxAge === 0) continue;
			const time = Date.now() - maxAge * 1000;
			while (!this.#closed && this.#store.removeBefore(name, time, REMOVED_AT_ONCE) === REMOVED_AT_ONCE)
				await nextTurn();
		}
	}

	#definition(stream: string): StreamDefinition {
		const definition = this.#streams.get(stream);
		if (!definition) throw new ChannelError("STREAM_NOT_FOUND", `There is no stream ${stream}`);
		return definition;
	}

	#assertOpen(): void {
		if (this.#closed) throw new ChannelError("CHANNELS_STOPPING", "The channels are closed");
	}
}

function stored(stream: string, { headers, ...row }: MessageRow): StoredMessage {
	return { stream, ...row, headers: JSON.parse(headers) };
}
