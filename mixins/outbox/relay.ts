import { type Publisher, publishBatch } from "./publish.ts";
import type { OutboxRow } from "./row.ts";
import type { OutboxStore, Outcome, Step } from "./store.ts";
import { type StreamRecord, wentBackwards } from "./streams.ts";
import { ulid } from "./ulid.ts";

/** Settings of the relay, all times in milliseconds. */
export interface RelaySettings {
	/** A relay that has not been heard of for so long is replaced. Default 10 000. */
	lease: number;
	/** How long a row may wait that no nudge told of. Default 200. */
	poll: number;
	/** The most rows that are on their way at once. Default 200. */
	batch: number;
	/** So many rows a second are taken for load. Default 800. */
	load: number;
	/** Under load, how long rows are gathered before the next batch is read: they share its round trips. Default 25. */
	gather: number;
	/** The pause after a failure. Default 500. */
	pause: number;
	/** How often streams are looked at while there is nothing to publish. Default 5000. */
	watch: number;
}

/** Where a relay can be interrupted. */
export type RelayPoint = "claimed" | "read" | "published" | "marked";

interface Options {
	store: OutboxStore;
	recorded: () => Promise<StreamRecord[]>;
	publisher: Publisher;
	source: string;
	settings: RelaySettings;
	log: {
		info(message: string): void;
		warn(message: string, error?: unknown): void;
		error(message: string, error?: unknown): void;
	};
	/** For tests: called at the named points; what it throws or does not return from happens there. */
	probe?: (point: RelayPoint) => void | Promise<void>;
}

/** Fewer rows in a batch are a coincidence, however quickly they came. */
const FEW = 5;

const nothing = (): Outcome => ({ published: [], refused: [] });

/** Publishes the rows of an outbox. Of all relays of an outbox, the one with the lease works; the others wait for it. */
export class Relay {
	readonly #options: Options;
	readonly #owner = ulid();
	readonly #streams = new Map<string, StreamRecord>();
	readonly #ended: Promise<void>;
	#stopping = false;
	/** Ends the present pause: because there is work, or because the relay stops. */
	#wake: (() => void) | undefined;
	#stop: (() => void) | undefined;
	#nudged = false;
	#epoch: number | undefined;
	#outcome = nothing();
	#renewed = 0;
	#watched = Number.NEGATIVE_INFINITY;
	/** A stream that was lost must be found so before anything new gets into it: what it lost comes first. */
	#interrupted = false;
	/** A step failed, and nobody knows whether the numbers that it gave were stored. */
	#uncertain = false;

	constructor(options: Options) {
		this.#options = options;
		options.publisher.onInterruption?.(() => {
			this.#interrupted = true;
		});
		this.#ended = this.#run();
	}

	/** Tells that a transaction with new rows was committed. */
	nudge(): void {
		this.#nudged = true;
		this.#wake?.();
	}

	/** Ends after the batch that is on its way, and gives the lease back. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#stop?.();
		await this.#ended;
	}

	async #run(): Promise<void> {
		const { settings, log } = this.#options;
		while (!this.#stopping) {
			try {
				if (this.#epoch === undefined) await this.#claim();
				else await this.#step(this.#epoch);
			} catch (error) {
				if (!this.#stopping) log.warn("The outbox relay failed, trying again", error);
				this.#uncertain = true;
				await this.#sleep(settings.pause);
			}
		}
		await this.#release().catch(error => log.warn("The outbox relay could not give its lease back", error));
	}

	async #claim(): Promise<void> {
		const { store, settings, log, probe } = this.#options;
		this.#epoch = await store.claim(this.#owner, settings.lease);
		if (this.#epoch === undefined) {
			await this.#sleep(settings.lease / 3);
			return;
		}
		log.info(`This node is the outbox relay now (epoch ${this.#epoch})`);
		this.#outcome = nothing();
		this.#renewed = performance.now();
		this.#watched = Number.NEGATIVE_INFINITY;
		this.#streams.clear();
		this.#uncertain = true;
		await probe?.("claimed");
	}

	async #learnNumbers(): Promise<void> {
		for (const record of await this.#options.recorded()) {
			const seen = this.#streams.get(record.stream);
			this.#streams.set(record.stream, { ...record, ...seen, sequence: record.sequence });
		}
		this.#uncertain = false;
	}

	async #step(epoch: number): Promise<void> {
		const { store, settings, probe, log } = this.#options;
		if (this.#uncertain) await this.#learnNumbers();
		if (this.#interrupted || performance.now() - this.#watched > settings.watch) await this.#watch();

		const leaseIsFresh = performance.now() - this.#renewed < settings.lease / 3;
		const thereIsWork = this.#nudged;
		this.#nudged = false;
		if (!this.#hasOutcome && leaseIsFresh && !thereIsWork && !(await store.hasWork())) {
			if (!this.#nudged) await this.#sleep(settings.poll, { nudgeable: true });
			return;
		}
		const started = performance.now();
		const rows = await store.advance(this.#next(epoch, settings.batch));
		if (rows === null) {
			log.warn(`Another node is the outbox relay now (epoch ${epoch} is over)`);
			this.#epoch = undefined;
			return;
		}
		const rate = (rows.length * 1000) / (started - this.#renewed);
		this.#renewed = started;
		this.#outcome = nothing();
		for (const { stream, sequence } of rows) this.#see(stream, { sequence });
		if (rows.length === 0) return;
		await probe?.("read");
		await this.#publish(rows);
		await probe?.("published");
		const isLoad = rate >= settings.load && rows.length >= FEW;
		if (isLoad && rows.length < settings.batch) await this.#sleep(settings.gather);
	}

	async #publish(rows: OutboxRow[]): Promise<void> {
		const { publisher, source, settings, log } = this.#options;
		for (const stream of new Set(rows.map(row => row.stream)))
			if (!this.#streams.get(stream)?.created) await this.#look(stream);
		const known = new Map([...this.#streams].map(([name, { lastSeq }]) => [name, lastSeq]));
		const interrupted = () => this.#interrupted;
		// A relay that was frozen after its read must not send what another one has sent meanwhile.
		const isLate = () => performance.now() - this.#renewed > settings.lease / 2;
		const options = { publisher, source, known, rows, interrupted, isLate };
		const { published, refused, lastSeqs, backwards, outage } = await publishBatch(options);
		for (const stream of backwards) await this.#alarm(stream);
		for (const [stream, lastSeq] of lastSeqs) this.#see(stream, { lastSeq });
		this.#outcome = { published, refused };
		for (const { id, error, giveUp } of refused)
			if (giveUp) log.error(`Outbox row ${id} can not be published and was set aside: ${error}`);
		if (!outage) return;

		log.warn("The outbox relay can not publish, trying again", outage);
		this.#interrupted = true;
		await this.#sleep(settings.pause);
	}

	/** Keeps what was seen of a stream; its numbers never fall. */
	#see(stream: string, { created, lastSeq = 0, sequence = 0 }: Partial<StreamRecord>): void {
		const before = this.#streams.get(stream);
		this.#streams.set(stream, {
			stream,
			created: created ?? before?.created ?? "",
			lastSeq: Math.max(lastSeq, before?.lastSeq ?? 0),
			sequence: Math.max(sequence, before?.sequence ?? 0)
		});
	}

	/** Whether something became of the last batch that is not written yet. */
	get #hasOutcome(): boolean {
		return this.#outcome.published.length + this.#outcome.refused.length > 0;
	}

	#next(epoch: number, limit: number): Step {
		const { lease } = this.#options.settings;
		return { epoch, lease, limit, outcome: this.#outcome, streams: this.#streams };
	}

	/** Looks at every stream that this outbox has published to. */
	async #watch(): Promise<void> {
		this.#interrupted = false;
		for (const stream of [...this.#streams.keys()]) await this.#look(stream);
		this.#watched = performance.now();
	}

	async #look(stream: string): Promise<void> {
		const state = await this.#options.publisher.streamState(stream);
		const record = this.#streams.get(stream);
		if (record && wentBackwards(record, state)) await this.#alarm(stream);
		else this.#see(stream, { created: state.created, lastSeq: state.lastSeq });
	}

	/** The outbox is the record, the stream only transport: what the stream lost is published again. */
	async #alarm(stream: string): Promise<void> {
		const { publisher, store, log } = this.#options;
		const { created, lastSeq } = await publisher.streamState(stream);
		log.error(`Stream ${stream} went backwards (now ${lastSeq}, created ${created}): the outbox is published again`);
		await store.requestRepublish();
		const sequence = this.#streams.get(stream)?.sequence ?? 0;
		this.#streams.set(stream, { stream, created, lastSeq, sequence });
	}

	async #release(): Promise<void> {
		const { store } = this.#options;
		if (this.#epoch === undefined) return;
		if (this.#hasOutcome) await store.advance(this.#next(this.#epoch, 0));
		await store.release(this.#epoch);
	}

	/** A nudge does not end the pause after a failure: a server that is away would be asked without end. */
	async #sleep(milliseconds: number, { nudgeable = false } = {}): Promise<void> {
		if (this.#stopping) return;
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, milliseconds);
		this.#stop = resolve;
		if (nudgeable) this.#wake = resolve;
		await promise;
		clearTimeout(timer);
		this.#wake = undefined;
	}
}
