import { setImmediate } from "node:timers/promises";
import { Attempts, type Handling } from "./attempts.ts";
import { type Chain, insertEarly, isBefore } from "./chain.ts";
import { Held } from "./held.ts";
import { Patience } from "./patience.ts";
import { type ConsumerDefinition, type Delivery, withDefaults } from "./transport.ts";

/** How many messages may wait for another one of their key, per slot of concurrency. */
const HELD_PER_SLOT = 20;
/** How often a message that came too early is looked at, and for how many waits for an acknowledgement it is kept. */
const EARLY_MS = 200;
const EARLY_WAITS = 4;

/**
 * Runs the handler of one consumer: as many at once as allowed, those of one key in order (several of them together where
 * the consumer says so), the unexplained ones alone.
 */
export class Worker {
	readonly #settings: Required<ConsumerDefinition>;
	readonly #attempts: Attempts;
	readonly #observer: Handling["observer"];
	/** By key. Not a Map, for the reason in `held.ts`. */
	readonly #chains: Record<string, Chain> = Object.create(null);
	readonly #held = new Held();
	readonly #patience: Patience;
	/** What failed together with others is handled by itself. */
	readonly #alone = new WeakSet<Delivery>();
	readonly #heartbeat: NodeJS.Timeout;
	#running = 0;
	#changed: PromiseWithResolvers<void> = Promise.withResolvers();
	#stopping = false;

	constructor(handling: Handling) {
		this.#attempts = new Attempts(handling);
		this.#observer = handling.observer;
		this.#settings = withDefaults(handling.definition);
		this.#patience = new Patience(Math.max(this.#settings.concurrency, this.#settings.together));
		this.#heartbeat = setInterval(() => {
			for (const delivery of this.#held.all()) this.#attempts.stillWorking(delivery);
		}, this.#settings.ackWait / 3);
	}

	/** Takes a message over. Resolves when there is room for the next one. */
	async accept(delivery: Delivery): Promise<void> {
		await this.#observer.probe?.("fetched", delivery);
		this.#attempts.arrived(delivery);
		if (this.#stopping) return this.#handBack(delivery);
		if (delivery.attempts > 1) this.#observer.redelivered(delivery);
		// A server that was restarted hands out again what is here; the first copy stands for both.
		if (delivery.attempts > 1 && this.#held.has(delivery)) return;

		const key = this.#keyOf(delivery);
		this.#held.add(delivery);
		await this.#room(key);
		if (this.#stopping) return this.#handBack(delivery);
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
	 * @param timeout how long at most, in milliseconds
	 * @returns whether all of them ended
	 */
	async stop(timeout: number): Promise<boolean> {
		this.#stopping = true;
		for (const chain of Object.values(this.#chains)) {
			clearTimeout(chain.retrying?.timer);
			clearTimeout(chain.waiting);
			const unstarted = [...chain.queue.splice(0), ...chain.early.splice(0)];
			await Promise.all(unstarted.map(delivery => this.#handBack(delivery)));
		}
		this.#change();
		const { promise: late, resolve } = Promise.withResolvers<boolean>();
		const timer = setTimeout(resolve, timeout, false);
		const ended = await Promise.race([this.#until(() => this.#running === 0).then(() => true), late]);
		clearTimeout(timer);
		clearInterval(this.#heartbeat);
		return ended;
	}

	#keyOf({ headers, seq }: Delivery): string {
		const { orderBy } = this.#settings;
		const value = orderBy === "none" ? undefined : headers[orderBy];
		return value ? `key ${value}` : `seq ${seq}`;
	}

	#enqueue(chain: Chain, key: string, delivery: Delivery): void {
		if (chain.retrying?.seq === delivery.seq) {
			this.#resume(key, chain, delivery);
			return;
		}
		if (this.#isFull()) {
			// What others wait for is never sent away for their sake.
			const last = chain.early.at(-1);
			const isNeeded = last !== undefined && isBefore(delivery, last);
			void this.#handBack(isNeeded ? last : delivery);
			if (!isNeeded) return;
			chain.early.pop();
		}
		chain.queue.push(delivery);
		// Nobody is at work on a chain that only waits for an earlier message.
		if (chain.waiting) this.#lookAgain(key, chain, false);
	}

	#isFull(): boolean {
		return this.#held.size - this.#running > HELD_PER_SLOT * this.#settings.concurrency;
	}

	/**
	 * Waits for room for another message of a key, as long as those before it go on quickly: sent away, it would come again
	 * later and cost more than now, so that a short stall would make a busy consumer slow for good.
	 */
	async #room(key: string): Promise<void> {
		const chain = this.#chains[key];
		if (!chain || this.#patience.isOver || !this.#isFull()) return;
		const rests = () => chain.retrying !== undefined || chain.waiting !== undefined || this.#chains[key] !== chain;
		await this.#patience.waitFor(this.#until(() => this.#stopping || !this.#isFull() || rests()));
	}

	#start(key: string, delivery: Delivery): Promise<void> {
		const chain: Chain = { queue: [delivery], early: [] };
		this.#chains[key] = chain;
		return this.#drain(key, chain);
	}

	/** Handles the messages of a chain, until none is left or it has to wait for one. */
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
			if (early) {
				if (this.#stopping) await this.#handBack(delivery);
				else insertEarly(chain, delivery);
				continue;
			}
			this.#held.delete(delivery);
			if (delay === undefined) {
				if (chain.queue.length > 0) this.#patience.earn(1);
				delete chain.since;
				chain.queue.unshift(...chain.early.splice(0, 1));
			} else if (!this.#stopping) {
				this.#waitForRetry(key, chain, delivery.seq, delay);
				return;
			}
		}
		if (chain.early.length > 0 && !this.#stopping) this.#waitForOthers(key, chain);
		else delete this.#chains[key];
	}

	/** Handles the first messages of a chain at once. What fails is left to be handled one by one. */
	async #drainTogether({ queue }: Chain): Promise<void> {
		const isFirst = (delivery: Delivery) => !this.#attempts.wasTried(delivery) && !this.#alone.has(delivery);
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
			for (const delivery of batch) if (!failed.includes(delivery)) this.#held.delete(delivery);
			if (queue.length > 0) this.#patience.earn(batch.length - failed.length);
			for (const delivery of failed) this.#alone.add(delivery);
			if (this.#stopping) await Promise.all(failed.map(delivery => this.#handBack(delivery)));
			else queue.unshift(...failed);
			this.#change();
		}
	}

	/** Another process may get the retry; then the others go on when it must be over. */
	#waitForRetry(key: string, chain: Chain, seq: number, delay: number): void {
		const timer = setTimeout(() => this.#resume(key, chain), delay + this.#settings.ackWait);
		chain.retrying = { seq, timer };
	}

	#resume(key: string, chain: Chain, ...retry: Delivery[]): void {
		clearTimeout(chain.retrying?.timer);
		delete chain.retrying;
		chain.queue.unshift(...retry);
		void this.#drain(key, chain);
	}

	/** Another process may have what the first of the early ones waits for. */
	#waitForOthers(key: string, chain: Chain): void {
		chain.since ??= performance.now();
		const isOver = performance.now() - chain.since > EARLY_WAITS * this.#settings.ackWait;
		chain.waiting = setTimeout(() => this.#lookAgain(key, chain, isOver), EARLY_MS);
	}

	#lookAgain(key: string, chain: Chain, giveUp: boolean): void {
		clearTimeout(chain.waiting);
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
		this.#held.delete(delivery);
		this.#change();
		await this.#attempts.postpone(delivery);
	}

	async #handBack(delivery: Delivery): Promise<void> {
		this.#held.delete(delivery);
		this.#change();
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
