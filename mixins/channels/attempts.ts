import { retryDelay } from "./backoff.ts";
import { isFinal, waitsForOthers } from "./failures.ts";
import type { Observer } from "./observer.ts";
import { type ConsumerDefinition, type Delivery, withDefaults } from "./transport.ts";

/** What a consumer does with its messages. */
export interface Handling {
	definition: ConsumerDefinition;
	/** Does the work. A rejection means: again later. */
	handle: (delivery: Delivery) => Promise<void>;
	/** Stores a message that is given up; resolves when it is stored. */
	bury: (delivery: Delivery, error: unknown) => Promise<void>;
	observer: Observer;
}

/** What became of a message: done with, or to come again after a delay, or kept until others of its key are done. */
export type Settlement = { delay?: number; early?: true };

/** A process that dies in a handler leaves no error, so its attempts are counted a little longer. */
const UNEXPLAINED_ATTEMPTS = 2;
const HAND_BACK_MS = 250;

/** Tries messages, and settles them with their stream: done, given up, or again later. */
export class Attempts {
	readonly #handling: Handling;
	readonly #settings: Required<ConsumerDefinition>;
	/** Messages that came back because this process asked, and how often without having tried them. */
	readonly #asked = new Map<number, number>();

	constructor(handling: Handling) {
		this.#handling = handling;
		this.#settings = withDefaults(handling.definition);
	}

	/** Is told of each message that comes. What is handed out for the first time was asked for by nobody: its number was another's. */
	arrived({ attempts, seq }: Delivery): void {
		if (attempts === 1) this.#asked.delete(seq);
	}

	/** Whether a message was handed out before, and this process does not know why it comes again. */
	isUnexplained({ attempts, seq }: Delivery): boolean {
		return attempts > 1 && !this.#asked.has(seq);
	}

	/** Whether a message counts as tried: by this process, or, for all that is known here, by another one. */
	wasTried(delivery: Delivery): boolean {
		return this.#attemptsOf(delivery) > 1;
	}

	/** Handles one message and settles it. */
	async process(delivery: Delivery): Promise<Settlement> {
		const { bury, observer } = this.#handling;
		const { maxAttempts, retryDelay: first } = this.#settings;
		const attempts = this.#attemptsOf(delivery);
		try {
			const failure =
				attempts > maxAttempts + UNEXPLAINED_ATTEMPTS
					? { error: new Error(`Delivered ${attempts} times, and never did a handler end`) }
					: await this.#failureOf(delivery);

			if (failure && attempts < maxAttempts && !isFinal(failure.error)) {
				if (waitsForOthers(failure.error)) return { early: true };
				observer.warn(`Message ${delivery.stream}:${delivery.seq} failed, attempt ${attempts}`, failure.error);
				return await this.#retry(delivery, retryDelay(first, attempts));
			}
			if (failure) {
				await bury(delivery, failure.error);
				observer.buried(delivery, failure.error);
			}
			await this.#acknowledge(delivery);
			return {};
		} catch (error) {
			return this.#unsettled(delivery, attempts, error);
		}
	}

	/**
	 * Handles messages at once and settles those that succeed.
	 * @returns those that failed; nothing else has happened to them
	 */
	async processTogether(deliveries: readonly Delivery[]): Promise<Delivery[]> {
		const failures = await Promise.all(deliveries.map(delivery => this.#failureOf(delivery)));
		const acknowledged = deliveries
			.filter((_delivery, i) => !failures[i])
			.map(delivery => this.#acknowledge(delivery).catch(error => this.#unsettled(delivery, delivery.attempts, error)));
		await Promise.all(acknowledged);
		return deliveries.filter((_delivery, i) => failures[i]);
	}

	/** Sends a message away that was not tried. */
	async handBack(delivery: Delivery): Promise<void> {
		this.#asked.set(delivery.seq, (this.#asked.get(delivery.seq) ?? 0) + 1);
		// As late as after an attempt: another process counts what was handed out in vain as attempts, and gives up after so many.
		const isFirst = delivery.attempts === 1;
		const delay = isFirst ? HAND_BACK_MS : retryDelay(this.#settings.retryDelay, delivery.attempts);
		await delivery.retry(delay).catch(this.#cameToNothing(delivery));
	}

	/** Sends a message away that was tried in vain. */
	async postpone(delivery: Delivery): Promise<void> {
		const delay = retryDelay(this.#settings.retryDelay, delivery.attempts);
		await this.#retry(delivery, delay).catch(this.#cameToNothing(delivery));
	}

	/** Says that a message is still being worked on. */
	stillWorking(delivery: Delivery): void {
		try {
			delivery.working();
		} catch (error) {
			this.#cameToNothing(delivery)(error);
		}
	}

	#attemptsOf({ attempts, seq }: Delivery): number {
		return attempts - (this.#asked.get(seq) ?? 0);
	}

	async #failureOf(delivery: Delivery): Promise<{ error: unknown } | undefined> {
		try {
			await this.#handling.handle(delivery);
			return undefined;
		} catch (error) {
			return { error };
		}
	}

	async #acknowledge(delivery: Delivery): Promise<void> {
		const { observer } = this.#handling;
		await observer.probe?.("handled", delivery);
		await delivery.ack();
		await observer.probe?.("acknowledged", delivery);
		this.#asked.delete(delivery.seq);
	}

	/** Neither done nor stored as dead: it must come again, whatever its number of attempts is. */
	#unsettled(delivery: Delivery, attempts: number, error: unknown): Promise<Settlement> {
		this.#handling.observer.warn(`Message ${delivery.stream}:${delivery.seq} could not be settled`, error);
		const delay = retryDelay(this.#settings.retryDelay, attempts);
		return this.#retry(delivery, delay).catch(() => ({ delay }));
	}

	async #retry(delivery: Delivery, delay: number): Promise<Settlement> {
		this.#asked.set(delivery.seq, this.#asked.get(delivery.seq) ?? 0);
		await delivery.retry(delay);
		return { delay };
	}

	/** A stream that can not be told what to do with a message gives it out again when its wait is over. */
	#cameToNothing({ stream, seq }: Delivery): (error: unknown) => void {
		return error => this.#handling.observer.warn(`Message ${stream}:${seq} could not be kept or handed back`, error);
	}
}
