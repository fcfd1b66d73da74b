import { setImmediate } from "node:timers/promises";
import { Attempts, type Handling } from "./attempts.ts";
import { type Chain, insertEarly } from "./chain.ts";
import { type ConsumerDefinition, type Delivery, settled } from "./transport.ts";

/** How often a message that came too early is looked at, and for how many waits for an acknowledgement it is kept. */
const EARLY_MS = 200;
const EARLY_WAITS = 4;

/**
 * Runs the handler of one consumer: as many at once as allowed, those of one key in order (several of them together where
 * the consumer says so), the unexplained ones alone. What waits for another of its key is kept here, at most the
 * consumer's `maxAckPending`: handed back, it would come again alone, and make the others that wait more.
 */
export class Worker {
	readonly #settings: Required<ConsumerDefinition>;
	readonly #attempts: Attempts;
	readonly #observer: Handling["observer"];
	/** By key. Not a Map: what has gone through one outlives V8's minor collections, see docs/performance.md, "What V8 kept". */
	readonly #chains: Record<string, Chain> = Object.create(null);
	/** What is in our hands, running or waiting, by its place in the stream. */
	readonly #held: Record<number, Delivery> = Object.create(null);
	/** What failed together with others is handled by itself. */
	readonly #apart = new WeakSet<Delivery>();
	readonly #heartbeat: NodeJS.Timeout;
	#running = 0;
	#changed: PromiseWithResolvers<void> = Promise.withResolvers();
	#stopping = false;

	constructor(handling: Handling) {
		this.#attempts = new Attempts(handling);
		this.#observer = handling.observer;
		this.#settings = settled(handling.definition);
		this.#heartbeat = setInterval(() => {
			for (const delivery of Object.values(this.#held)) this.#attempts.keep(delivery);
		}, this.#settings.ackWait / 3);
	}

	/** Takes a message over. Resolves when there is room for the next one. */
	async accept(delivery: Delivery): Promise<void> {
		await this.#observer.probe?.("fetched", delivery);
		if (this.#stopping) return this.#handBack(delivery);
		if (delivery.attempts > 1) this.#observer.redelivered(delivery);
		// A server that was restarted hands out again what is here; the first copy stands for both.
		if (delivery.attempts > 1 && delivery.seq in this.#held) return;

		this.#held[delivery.seq] = delivery;
		const key = this.#keyOf(delivery);
		const chain = this.#chains[key];
		if (chain) {
			this.#enqueue(chain, key, delivery);
		} else if (this.#attempts.isUnexplained(delivery)) {
			// It, or one that ran beside it, may have killed the process: nobody else shall pay for it.
			await this.#until(() => this.#stopping || this.#running === 0);
			if (this.#stopping) return this.#handBack(delivery);
			await this.#start(key, delivery);
		} else {
			void this.#start(key, delivery);
		}
		await this.#until(() => this.#stopping || this.#running < this.#settings.concurrency);
	}

	/**
	 * Hands back what waits and waits for the handlers that run.
	 * @param patience how long at most, in milliseconds
	 * @returns whether all of them ended
	 */
	async stop(patience: number): Promise<boolean> {
		this.#stopping = true;
		for (const chain of Object.values(this.#chains)) {
			clearTimeout(chain.retrying?.timer);
			clearTimeout(chain.waiting?.timer);
			const unstarted = [...chain.queue.splice(0), ...chain.early.splice(0)];
			await Promise.all(unstarted.map(delivery => this.#handBack(delivery)));
		}
		this.#change();
		const { promise: late, resolve } = Promise.withResolvers<boolean>();
		const timer = setTimeout(resolve, patience, false);
		const ended = await Promise.race([this.#until(() => this.#running === 0).then(() => true), late]);
		clearTimeout(timer);
		clearInterval(this.#heartbeat);
		return ended;
	}

	#letGo(delivery: Delivery): void {
		if (this.#held[delivery.seq] === delivery) delete this.#held[delivery.seq];
	}

	#keyOf({ headers, seq }: Delivery): string {
		const { orderBy } = this.#settings;
		const value = orderBy === "none" ? undefined : headers[orderBy];
		return value ? `key ${value}` : `seq ${seq}`;
	}

	#enqueue(chain: Chain, key: string, delivery: Delivery): void {
		if (chain.retrying?.seq === delivery.seq) {
			this.#resume(chain);
			chain.queue.unshift(delivery);
			void this.#drain(key, chain);
			return;
		}
		chain.queue.push(delivery);
		// Nobody is at work on a chain that only waits for an earlier message.
		if (chain.waiting) this.#lookAgain(key, chain, false);
	}

	#start(key: string, delivery: Delivery): Promise<void> {
		const chain: Chain = { queue: [delivery], early: [] };
		this.#chains[key] = chain;
		return this.#drain(key, chain);
	}

	async #drain(key: string, chain: Chain): Promise<void> {
		if (this.#settings.together > 1) {
			// What was delivered at the same time is there when the event loop turns.
			this.#running++;
			await setImmediate();
			this.#running--;
			this.#change();
		}
		for (;;) {
			if (this.#settings.together > 1 && chain.queue.length > 1) await this.#drainTogether(chain);
			const delivery = chain.queue.shift();
			if (!delivery) break;
			this.#running++;
			const { delay, early } = await this.#attempts.process(delivery);
			this.#running--;
			this.#change();
			if (early && this.#stopping) {
				await this.#handBack(delivery);
				continue;
			}
			if (early) {
				insertEarly(chain, delivery);
				continue;
			}
			this.#letGo(delivery);
			if (delay === undefined) {
				delete chain.since;
				chain.queue.unshift(...chain.early.splice(0, 1));
			} else if (!this.#stopping) {
				const { seq } = delivery;
				// Another process may get the retry; then the others go on when it must be over.
				const patience = delay + this.#settings.ackWait;
				const release = () => {
					this.#resume(chain);
					void this.#drain(key, chain);
				};
				chain.retrying = { seq, timer: setTimeout(release, patience) };
				return;
			}
		}
		if (chain.early.length > 0 && !this.#stopping) this.#waitForOthers(key, chain);
		else delete this.#chains[key];
	}

	/** Handles the first messages of a chain at once. What fails is left to be handled one by one. */
	async #drainTogether({ queue }: Chain): Promise<void> {
		const isFirst = (delivery: Delivery) => delivery.attempts === 1 && !this.#apart.has(delivery);
		while (queue.length > 1) {
			const first = queue.slice(0, this.#settings.together);
			const end = first.findIndex(delivery => !isFirst(delivery));
			const batch = queue.splice(0, end < 0 ? first.length : end);
			if (batch.length < 2) {
				queue.unshift(...batch);
				return;
			}
			this.#running++;
			const failed = await this.#attempts.processTogether(batch);
			this.#running--;
			for (const delivery of batch) if (!failed.includes(delivery)) this.#letGo(delivery);
			for (const delivery of failed) this.#apart.add(delivery);
			if (this.#stopping) await Promise.all(failed.map(delivery => this.#handBack(delivery)));
			else queue.unshift(...failed);
			this.#change();
		}
	}

	/** Another process may have what the first of the early ones waits for. */
	#waitForOthers(key: string, chain: Chain): void {
		const since = chain.since ?? performance.now();
		chain.since = since;
		const isOver = performance.now() - since > EARLY_WAITS * this.#settings.ackWait;
		const timer = setTimeout(() => this.#lookAgain(key, chain, isOver), EARLY_MS);
		chain.waiting = { timer };
	}

	#lookAgain(key: string, chain: Chain, giveUp: boolean): void {
		clearTimeout(chain.waiting?.timer);
		delete chain.waiting;
		if (giveUp) {
			delete chain.since;
			for (const delivery of chain.early.splice(0)) void this.#postpone(delivery);
		} else {
			chain.queue.unshift(...chain.early.splice(0, 1));
		}
		void this.#drain(key, chain);
	}

	async #postpone(delivery: Delivery): Promise<void> {
		this.#letGo(delivery);
		await this.#attempts.postpone(delivery);
	}

	#resume(chain: Chain): void {
		clearTimeout(chain.retrying?.timer);
		delete chain.retrying;
	}

	async #handBack(delivery: Delivery): Promise<void> {
		this.#letGo(delivery);
		await this.#attempts.handBack(delivery);
	}

	#change(): void {
		this.#changed.resolve();
		this.#changed = Promise.withResolvers();
	}

	async #until(condition: () => boolean): Promise<void> {
		while (!condition()) await this.#changed.promise;
	}
}
