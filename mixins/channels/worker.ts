import { retryDelay } from "./backoff.ts";
import { type Chain, insertEarly, isBefore } from "./chain.ts";
import { isFinal, waitsForOthers } from "./failures.ts";
import type { Observer } from "./observer.ts";
import { type ConsumerDefinition, type Delivery, settled } from "./transport.ts";

interface Options {
	definition: ConsumerDefinition;
	/** Does the work. A rejection means: again later. */
	handle: (delivery: Delivery) => Promise<void>;
	/** Stores a message that is given up; resolves when it is stored. */
	bury: (delivery: Delivery, error: unknown) => Promise<void>;
	observer: Observer;
}

/** A process that dies in a handler leaves no error, so its attempts are counted a little longer. */
const UNEXPLAINED_ATTEMPTS = 2;
const HAND_BACK_MS = 250;
/** How many messages may wait for another one of their key, per slot of concurrency. */
const HELD_PER_SLOT = 20;
/** How often a message that came too early is looked at, and for how many waits for an acknowledgement it is kept. */
const EARLY_MS = 200;
const EARLY_WAITS = 4;

/** What became of a message: done with, or to come again after a delay, or kept until others of its key are done. */
type Settlement = { delay?: number; early?: true };

/** Runs the handler of one consumer: as many at once as allowed, those of one key in order, the unexplained ones alone. */
export class Worker {
	readonly #settings: Required<ConsumerDefinition>;
	readonly #options: Options;
	readonly #chains = new Map<string, Chain>();
	/** What is in our hands, running or waiting. */
	readonly #held = new Set<Delivery>();
	/** Messages that came back because this process asked, and how often without having tried them. */
	readonly #asked = new Map<number, number>();
	readonly #heartbeat: NodeJS.Timeout;
	#running = 0;
	#changed: PromiseWithResolvers<void> = Promise.withResolvers();
	#stopping = false;

	constructor(options: Options) {
		this.#options = options;
		this.#settings = settled(options.definition);
		this.#heartbeat = setInterval(() => {
			for (const delivery of this.#held) this.#keep(delivery);
		}, this.#settings.ackWait / 3);
	}

	/** Takes a message over. Resolves when there is room for the next one. */
	async accept(delivery: Delivery): Promise<void> {
		await this.#options.observer.probe?.("fetched", delivery);
		if (this.#stopping) return this.#handBack(delivery);
		const unexplained = delivery.attempts > 1 && !this.#asked.has(delivery.seq);
		if (delivery.attempts > 1) this.#options.observer.redelivered(delivery);
		// A server that was restarted hands out again what is here; the first copy stands for both.
		if (delivery.attempts > 1 && this.#holds(delivery.seq)) return;

		this.#held.add(delivery);
		const key = this.#keyOf(delivery);
		const chain = this.#chains.get(key);
		if (chain) {
			this.#enqueue(chain, key, delivery);
		} else if (unexplained) {
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
		for (const chain of this.#chains.values()) {
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

	#holds(seq: number): boolean {
		return [...this.#held].some(held => held.seq === seq);
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
		} else if (this.#held.size - this.#running > HELD_PER_SLOT * this.#settings.concurrency) {
			// What others wait for is never sent away for their sake.
			const last = chain.early.at(-1);
			const isNeeded = last !== undefined && isBefore(delivery, last);
			if (isNeeded) chain.early.pop();
			void this.#handBack(isNeeded ? last : delivery);
			if (isNeeded) this.#append(key, chain, delivery);
		} else {
			this.#append(key, chain, delivery);
		}
	}

	#append(key: string, chain: Chain, delivery: Delivery): void {
		chain.queue.push(delivery);
		// Nobody is at work on a chain that only waits for an earlier message.
		if (chain.waiting) this.#lookAgain(key, chain, false);
	}

	#start(key: string, delivery: Delivery): Promise<void> {
		const chain: Chain = { queue: [delivery], early: [] };
		this.#chains.set(key, chain);
		return this.#drain(key, chain);
	}

	async #drain(key: string, chain: Chain): Promise<void> {
		for (let delivery = chain.queue.shift(); delivery; delivery = chain.queue.shift()) {
			this.#running++;
			const { delay, early } = await this.#process(delivery);
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
			this.#held.delete(delivery);
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
		else this.#chains.delete(key);
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
		this.#held.delete(delivery);
		await this.#retry(delivery, retryDelay(this.#settings.retryDelay, delivery.attempts)).catch(
			this.#cameToNothing(delivery)
		);
	}

	#keep(delivery: Delivery): void {
		try {
			delivery.working();
		} catch (error) {
			this.#cameToNothing(delivery)(error);
		}
	}

	/** A stream that can not be told what to do with a message gives it out again when its wait is over. */
	#cameToNothing({ stream, seq }: Delivery): (error: unknown) => void {
		return error => this.#options.observer.warn(`Message ${stream}:${seq} could not be kept or handed back`, error);
	}

	#resume(chain: Chain): void {
		clearTimeout(chain.retrying?.timer);
		delete chain.retrying;
	}

	async #process(delivery: Delivery): Promise<Settlement> {
		const { handle, bury, observer } = this.#options;
		const { maxAttempts, retryDelay: first } = this.#settings;
		const attempts = delivery.attempts - (this.#asked.get(delivery.seq) ?? 0);
		try {
			let failure: { error: unknown } | undefined;
			if (attempts > maxAttempts + UNEXPLAINED_ATTEMPTS)
				failure = { error: new Error(`Delivered ${attempts} times, and never did a handler end`) };
			else failure = await handle(delivery).then(nothing, error => ({ error }));

			if (failure && attempts < maxAttempts && !isFinal(failure.error)) {
				if (waitsForOthers(failure.error)) return { early: true };
				observer.warn(`Message ${delivery.stream}:${delivery.seq} failed, attempt ${attempts}`, failure.error);
				return await this.#retry(delivery, retryDelay(first, attempts));
			}
			if (failure) {
				await bury(delivery, failure.error);
				observer.buried(delivery, failure.error);
			}
			await observer.probe?.("handled", delivery);
			await delivery.ack();
			await observer.probe?.("acknowledged", delivery);
			this.#asked.delete(delivery.seq);
			return {};
		} catch (error) {
			// Neither done nor stored as dead: it must come again, whatever its number of attempts is.
			observer.warn(`Message ${delivery.stream}:${delivery.seq} could not be settled`, error);
			const delay = retryDelay(first, attempts);
			return this.#retry(delivery, delay).catch(() => ({ delay }));
		}
	}

	async #retry(delivery: Delivery, delay: number): Promise<Settlement> {
		this.#asked.set(delivery.seq, this.#asked.get(delivery.seq) ?? 0);
		await delivery.retry(delay);
		return { delay };
	}

	async #handBack(delivery: Delivery): Promise<void> {
		const asked = this.#asked.get(delivery.seq) ?? 0;
		this.#held.delete(delivery);
		this.#asked.set(delivery.seq, asked + 1);
		// Less and less often: after this process, the next one counts what it was handed in vain as attempts.
		const longest = this.#settings.ackWait / 4;
		await delivery
			.retry(Math.min(HAND_BACK_MS * 2 ** asked, Math.max(HAND_BACK_MS, longest)))
			.catch(this.#cameToNothing(delivery));
	}

	#change(): void {
		this.#changed.resolve();
		this.#changed = Promise.withResolvers();
	}

	async #until(condition: () => boolean): Promise<void> {
		while (!condition()) await this.#changed.promise;
	}
}

function nothing(): undefined {}
