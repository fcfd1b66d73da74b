import DataLoader from "dataloader";
import {
	type Accept,
	type ConsumerDefinition,
	type Delivery,
	fits,
	type Subscription,
	withDefaults
} from "../transport.ts";
import type { LocalStore, TakenRow } from "./store.ts";

/** How long a new message of another process may stay unseen. */
const POLL_MS = 500;
const RESTART_PAUSE_MS = 250;

interface Options {
	store: LocalStore;
	definition: ConsumerDefinition;
	declare: () => Promise<unknown>;
	accept: Accept;
	warn: (message: string, error?: unknown) => void;
}

/** Hands the messages of a file out, one after the other, as fast as they are accepted. */
export class LocalSubscription implements Subscription {
	readonly #options: Options;
	readonly #ended: Promise<void>;
	readonly #settings: Required<ConsumerDefinition>;
	/** What is done with at the same time is written in one transaction. */
	readonly #acks = new DataLoader<number, undefined>(async seqs => this.#acknowledge(seqs), { cache: false });
	#stopping = false;
	#wake: (() => void) | undefined;

	constructor(options: Options) {
		this.#options = options;
		this.#settings = withDefaults(options.definition);
		this.#ended = this.#run();
	}

	/** Tells that there may be something new. */
	wake(): void {
		this.#wake?.();
	}

	async stop(): Promise<void> {
		this.#stopping = true;
		this.wake();
		await this.#ended;
	}

	async #run(): Promise<void> {
		const { definition, declare, warn } = this.#options;
		let declared = false;
		while (!this.#stopping) {
			try {
				if (!declared) await declare();
				declared = true;
				await this.#step();
			} catch (error) {
				warn(`Consumer ${definition.name} can not read, trying again`, error);
				declared = false;
				await this.#sleep(RESTART_PAUSE_MS);
			}
		}
	}

	async #step(): Promise<void> {
		const { store } = this.#options;
		const { stream, name, concurrency, together, ackWait, maxAckPending } = this.#settings;
		const now = Date.now();
		const room = maxAckPending - store.pending(stream, name);
		const full = room <= 0 && (store.nextDue(stream, name) ?? 0) > now;
		// What waits here for a free handler is not said to be worked on: it must be little.
		const limit = Math.min(Math.max(concurrency, together), Math.max(room, 1));
		const taken = full ? [] : store.take(stream, name, { now, due: now + ackWait, limit });
		if (taken.length > 0) return this.#handOut(taken);

		const due = store.nextDue(stream, name) ?? Number.POSITIVE_INFINITY;
		await this.#sleep(Math.min(POLL_MS, Math.max(1, due - now)));
	}

	async #handOut(taken: TakenRow[]): Promise<void> {
		const { store, accept } = this.#options;
		const { stream, name, subject } = this.#settings;
		for (const [i, row] of taken.entries()) {
			if (this.#stopping) {
				const rest = taken.slice(i).map(({ seq }) => seq);
				store.untake(stream, name, rest);
				return;
			}
			if (!fits(subject, row.subject)) store.ack(stream, name, [row.seq]);
			else await accept(this.#delivery(row));
		}
	}

	#delivery({ seq, subject, headers, data, time, attempts }: TakenRow): Delivery {
		const { store } = this.#options;
		const { stream, name, ackWait } = this.#settings;
		const postpone = (milliseconds: number) => store.postpone(stream, name, seq, Date.now() + milliseconds);
		return {
			stream,
			seq,
			subject,
			headers: JSON.parse(headers),
			data,
			time,
			attempts,
			ack: () => this.#acks.load(seq),
			retry: async milliseconds => {
				postpone(milliseconds);
				this.wake();
			},
			working: () => postpone(ackWait)
		};
	}

	#acknowledge(seqs: readonly number[]): undefined[] {
		const { store, definition } = this.#options;
		store.ack(definition.stream, definition.name, seqs);
		this.wake();
		return seqs.map(() => undefined);
	}

	async #sleep(milliseconds: number): Promise<void> {
		if (this.#stopping) return;
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = setTimeout(resolve, milliseconds);
		this.#wake = resolve;
		await promise;
		clearTimeout(timer);
	}
}
