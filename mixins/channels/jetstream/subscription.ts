import { setTimeout as delay } from "node:timers/promises";
import DataLoader from "dataloader";
import { type Consumer, ConsumerEvents, type ConsumerMessages, type JetStreamClient, type JsMsg } from "nats";
import { type Accept, type ConsumerDefinition, type Delivery, type Subscription, withDefaults } from "../transport.ts";
import { headersOf } from "./headers.ts";

const RESTART_PAUSE_MS = 250;
const HAND_BACK_MS = 250;
const LINGER_MS = 100;
/** The shortest that the client takes. */
const NEXT_EXPIRES_MS = 1_000;

/** After these the pull request is made anew, and stream and consumer with it where they are gone. */
const LOST: readonly string[] = [
	ConsumerEvents.ConsumerNotFound,
	ConsumerEvents.ConsumerDeleted,
	ConsumerEvents.StreamNotFound,
	ConsumerEvents.HeartbeatsMissed,
	ConsumerEvents.NoResponders
];

interface Options {
	client: () => Promise<JetStreamClient>;
	definition: ConsumerDefinition;
	declare: () => Promise<unknown>;
	accept: Accept;
	warn: (message: string, error?: unknown) => void;
}

/** Pulls messages of a durable consumer for as long as it is not stopped, over every loss of server, stream or consumer. */
export class JetStreamSubscription implements Subscription {
	readonly #options: Options;
	readonly #settings: Required<ConsumerDefinition>;
	readonly #ended: Promise<void>;
	/** Ends what waits for a server. */
	readonly #stopped = Promise.withResolvers<void>();
	readonly #acks = new DataLoader<JsMsg, undefined>(acknowledge, { cache: false });
	#stopping = false;
	#messages: ConsumerMessages | undefined;

	constructor(options: Options) {
		this.#options = options;
		this.#settings = withDefaults(options.definition);
		this.#ended = this.#run();
	}

	async stop(): Promise<void> {
		this.#stopping = true;
		this.#stopped.resolve();
		// What is in the iterator is handed back by the loop; ended at once, the iterator would keep it until the wait for
		// its acknowledgement is over.
		const linger = setTimeout(() => this.#messages?.stop(), LINGER_MS);
		await this.#ended;
		clearTimeout(linger);
	}

	async #run(): Promise<void> {
		const { definition, declare, warn } = this.#options;
		while (!this.#stopping) {
			try {
				await Promise.race([declare(), this.#stopped.promise]);
				if (!this.#stopping) await this.#pull();
			} catch (error) {
				if (!this.#stopping) warn(`Consumer ${definition.name} can not pull, trying again`, error);
			}
			if (!this.#stopping) await delay(RESTART_PAUSE_MS);
		}
	}

	async #pull(): Promise<void> {
		const { client, definition, accept, warn } = this.#options;
		const consumer = await (await client()).consumers.get(definition.stream, definition.name);
		const { num_ack_pending, delivered } = await consumer.info();
		if (num_ack_pending > 0) await this.#pullOneByOne(consumer, delivered.stream_seq);
		if (this.#stopping) return;

		const { concurrency, together } = this.#settings;
		// What waits here for a free handler is not said to be worked on: it must be little.
		const most = Math.max(concurrency, together);
		const messages = await consumer.consume({
			max_messages: most,
			// The client would ask again after each quarter: twice for each batch that is handled.
			threshold_messages: Math.max(1, Math.floor(most / 4)),
			idle_heartbeat: 2_000,
			expires: 20_000
		});
		this.#messages = messages;
		void this.#watch(messages, warn);
		try {
			if (this.#stopping) return;
			for await (const message of messages) {
				const delivery = this.#delivery(message);
				if (this.#stopping) await delivery.retry(HAND_BACK_MS);
				else await accept(delivery);
			}
		} finally {
			this.#messages = undefined;
			await messages.close();
		}
	}

	/**
	 * Somebody may have died over a message. Until all that was handed out before is settled, or has had the time to come
	 * again, one message is pulled at a time: what waits here while another message kills the process is counted as tried, too.
	 */
	async #pullOneByOne(consumer: Consumer, last: number): Promise<void> {
		const { accept } = this.#options;
		const end = performance.now() + this.#settings.ackWait + NEXT_EXPIRES_MS;
		while (!this.#stopping) {
			const message = await consumer.next({ expires: NEXT_EXPIRES_MS });
			if (message) await accept(this.#delivery(message));
			const { ack_floor } = await consumer.info();
			if (ack_floor.stream_seq >= last) return;
			if (performance.now() > end) return;
		}
	}

	async #watch(messages: ConsumerMessages, warn: Options["warn"]): Promise<void> {
		for await (const { type } of await messages.status()) {
			if (!LOST.includes(type) || this.#stopping) continue;
			warn(`Consumer ${this.#options.definition.name}: ${type}, starting again`);
			messages.stop();
			return;
		}
	}

	#delivery(message: JsMsg): Delivery {
		return {
			stream: this.#options.definition.stream,
			seq: message.seq,
			subject: message.subject,
			headers: headersOf(message.headers),
			data: message.string(),
			time: Math.floor(message.info.timestampNanos / 1e6),
			attempts: message.info.redeliveryCount,
			ack: () => this.#acks.load(message),
			async retry(milliseconds) {
				message.nak(milliseconds);
			},
			working: () => message.working()
		};
	}
}

/** The server reads acknowledgements in the order in which they were sent: its word for the last is one for all. */
async function acknowledge(messages: readonly JsMsg[]): Promise<undefined[]> {
	for (const message of messages.slice(0, -1)) message.ack();
	await messages.at(-1)?.ackAck();
	return messages.map(() => undefined);
}
