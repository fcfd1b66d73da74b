const RECALIBRATE_AFTER = 10_000;

/** A ping's answer: our clock minus the sender's, right to within `uncertainty`, both in milliseconds. */
export interface ClockMeasurement {
	offset: number;
	uncertainty: number;
}

interface Clock {
	/** Our clock minus the sender's, in milliseconds: the smallest difference seen, which holds the least delay. */
	offset: number;
	/** When the offset was last measured by a ping, on our clock. */
	measuredAt: number;
	measuring: Promise<void> | undefined;
}

/**
 * Tells how long a message was under way without clocks in step: the difference between our clock on arrival and the
 * sender's on departure is the clocks' offset plus the delay, and the smallest difference seen is the best guess of the
 * offset (the clock filter of NTP, RFC 5905 section 10). A message that looks too old is only called so after a ping
 * has confirmed the offset.
 */
export class RequestAge {
	readonly #clocks = new Map<string, Clock>();
	readonly #measure: (sender: string) => Promise<ClockMeasurement | undefined>;
	readonly #now: () => number;

	/** @param measure asks the sender by a ping; undefined without an answer */
	constructor(measure: (sender: string) => Promise<ClockMeasurement | undefined>, now: () => number = Date.now) {
		this.#measure = measure;
		this.#now = now;
	}

	/**
	 * Whether a message was under way for longer than `limit` milliseconds. The answer is a promise when the sender must
	 * be asked first.
	 */
	isOlder(sender: string, sentAt: number, limit: number): boolean | Promise<boolean> {
		const difference = this.#now() - sentAt;
		let clock = this.#clocks.get(sender);
		if (!clock) {
			// Until measured, clocks are taken to agree, or the sender's to be ahead.
			clock = { offset: Math.min(difference, 0), measuredAt: Number.NEGATIVE_INFINITY, measuring: undefined };
			this.#clocks.set(sender, clock);
		}
		clock.offset = Math.min(clock.offset, difference);
		if (difference - clock.offset <= limit) return false;
		if (this.#now() - clock.measuredAt < RECALIBRATE_AFTER) return true;

		const known = clock;
		known.measuring ??= this.#calibrate(sender);
		return known.measuring.then(() => difference - (this.#clocks.get(sender) ?? known).offset > limit);
	}

	/** Forgets a sender that left. */
	forget(sender: string): void {
		this.#clocks.delete(sender);
	}

	async #calibrate(sender: string): Promise<void> {
		const measured = await this.#measure(sender);
		const clock = this.#clocks.get(sender);
		if (!clock) return;
		clock.measuring = undefined;
		if (!measured) return;
		// A ping on a busy system is lopsided: it sets the bounds, and within them the smallest difference is better.
		const { offset, uncertainty } = measured;
		clock.offset = Math.max(offset - uncertainty, Math.min(offset + uncertainty, clock.offset));
		clock.measuredAt = this.#now();
	}
}
