import { setTimeout as delay } from "node:timers/promises";
import type { Context, Service } from "moleculer";
import type { Sequelize, Transaction } from "sequelize";
import { pruneAll } from "../db/prune.ts";
import type { Publisher } from "./publish.ts";
import { Relay, type RelayPoint, type RelaySettings } from "./relay.ts";
import { type Backlog, OutboxStore, type RunTransaction } from "./store.ts";
import { recordedStreams } from "./streams.ts";
import { ulid } from "./ulid.ts";

/** Options of the mixin. */
export interface OutboxOptions {
	/** Where rows are published; called at start. */
	publisher: (service: Service) => Publisher;
	/** Headers of a message that was caused by a request, e.g. its trace. */
	headersOf?: (ctx: Context) => Readonly<Record<string, string>>;
	/** Published rows are kept for so long, in milliseconds. Default 7 days. */
	retention?: number;
	/** The relay's, see `RelaySettings`. */
	relay?: Partial<RelaySettings>;
	/** For tests: see `Relay`. */
	probe?: (point: RelayPoint) => void | Promise<void>;
}

/** A fact to be published. */
export interface Fact {
	stream: string;
	subject: string;
	/** JSON by nature: what JSON can not say is lost. */
	payload: object;
	/** What the fact is about. Facts of one aggregate are published in the order of their insertion. */
	aggregate?: string;
	/** The aggregate's version after the fact. */
	version?: number;
}

/** What the mixin adds to `this` of a service. */
export interface OutboxMethods {
	outbox: Outbox;
}

/** What the mixin needs of the service: a database with the outbox's tables. */
export interface OutboxService extends Service, OutboxMethods {
	db: Sequelize;
	transaction: RunTransaction;
}

const RETENTION_MS = 7 * 24 * 3_600_000;
const MEASURE_MS = 5_000;
const PENDING = "outbox.pending";
const AGE = "outbox.age";
const FAILED = "outbox.failed";
const STOP_PATIENCE_MS = 5_000;

/** Facts on their way from a business transaction to a stream. */
export class Outbox {
	readonly #store: OutboxStore;
	readonly #relay: Relay;
	readonly #publisher: Publisher;
	readonly #service: OutboxService;
	readonly #options: OutboxOptions;
	readonly #timer: NodeJS.Timeout;

	constructor(service: OutboxService, options: OutboxOptions) {
		const { publisher, relay, probe } = options;
		if (!service.db)
			throw new Error(`Service '${service.name}': the outbox mixin stands before the DB mixin in the list of mixins`);
		this.#service = service;
		this.#options = options;
		this.#publisher = publisher(service);
		this.#store = new OutboxStore(service.db, work => service.transaction(work), this.#publisher.streams);
		this.#relay = new Relay({
			store: this.#store,
			recorded: async () =>
				(await recordedStreams(service.db)).filter(({ stream }) => this.#publisher.streams?.includes(stream) ?? true),
			publisher: this.#publisher,
			source: service.name,
			settings: withDefaults(relay),
			log: service.logger,
			probe
		});
		this.#timer = setInterval(() => this.#keepHouse(), MEASURE_MS).unref();
	}

	/**
	 * Writes a fact in a business transaction, after the row that it is about was changed: the row's lock is what gives
	 * the facts of an aggregate their order.
	 *
	 * @param ctx the request that causes it, for its headers
	 * @returns the id of the fact
	 * @throws Error where no stream takes it
	 */
	async add(transaction: Transaction, { stream, subject, payload, ...about }: Fact, ctx?: Context): Promise<string> {
		this.#publisher.check?.({ stream, subject });
		const msg_id = ulid();
		const headers = ctx ? (this.#options.headersOf?.(ctx) ?? {}) : {};
		const row = {
			msg_id,
			stream,
			subject,
			payload: JSON.stringify(payload),
			headers: JSON.stringify(headers),
			aggregate: about.aggregate ?? null,
			version: about.version ?? null
		};
		await this.#store.insert(row, transaction);
		transaction.afterCommit(() => this.#relay.nudge());
		return msg_id;
	}

	/** How much waits to be published. */
	backlog(): Promise<Backlog> {
		return this.#store.backlog();
	}

	/** Publishes all rows again that are still kept, in their order: after a stream was lost. Consumers know what they had. */
	async republish(): Promise<void> {
		await this.#store.requestRepublish();
		this.#relay.nudge();
	}

	/** Gives rows that were set aside another chance. @returns how many */
	async retryFailed(): Promise<number> {
		const retried = await this.#store.retryFailed();
		this.#relay.nudge();
		return retried;
	}

	/** Deletes all published rows whose time is over. @returns how many */
	prune(): Promise<number> {
		return pruneAll(limit => this.#store.prune(this.#options.retention ?? RETENTION_MS, limit));
	}

	/** Ends the relay. One whose database or streams do not answer is not waited for: its lease ends by itself. */
	async stop(): Promise<void> {
		clearInterval(this.#timer);
		const late = delay(STOP_PATIENCE_MS, true, { ref: false });
		if (await Promise.race([this.#relay.stop(), late]))
			this.#service.logger.warn("The outbox relay did not end in time");
	}

	async #keepHouse(): Promise<void> {
		const { broker, name, logger } = this.#service;
		try {
			const { pending, age, failed } = await this.backlog();
			broker.metrics.set(PENDING, pending, { outbox: name });
			broker.metrics.set(AGE, age, { outbox: name });
			broker.metrics.set(FAILED, failed, { outbox: name });
			await this.prune();
		} catch (error) {
			logger.debug("The outbox can not be looked after", error);
		}
	}
}

/** Registers the metrics; does nothing where moleculer's metrics are off. */
export function registerMetrics({ metrics }: Service["broker"]): void {
	if (metrics.hasMetric(PENDING)) return;
	const labelNames = ["outbox"];
	const gauge = (name: string, description: string) =>
		metrics.register({ type: "gauge", name, labelNames, description });
	gauge(PENDING, "Rows that are not published yet");
	gauge(AGE, "Age of the oldest row that is not published, in milliseconds");
	gauge(FAILED, "Rows that can not be published and were set aside");
}

/** Settings with the defaults filled in, also for what is undefined, as of a configuration that leaves it out. */
function withDefaults({
	lease = 10_000,
	poll = 200,
	batch = 200,
	load = 800,
	gather = 25,
	pause = 500,
	watch = 5_000
}: Partial<RelaySettings> = {}): RelaySettings {
	return { lease, poll, batch, load, gather, pause, watch };
}
