/** For so long in all, messages that were pulled together may be held up for want of room. */
const MOST_MS = 250;

/**
 * How long a worker waits for room for one more message of a key. Meanwhile messages of all keys wait, in the hands of the
 * stream's client, where nothing says that they are worked on. So it is used up by waiting, and earned by messages that are
 * done: those that are done quickly earn as much as is waited for them, a slow key leaves nothing.
 */
export class Patience {
	readonly #earned: number;
	#left = MOST_MS;

	/** @param pulled how many messages are pulled together */
	constructor(pulled: number) {
		this.#earned = MOST_MS / pulled;
	}

	get isOver(): boolean {
		return this.#left === 0;
	}

	/** Waits for room, as long as there is patience. */
	async waitFor(room: Promise<void>): Promise<void> {
		const { promise: late, resolve } = Promise.withResolvers<number>();
		const timer = setTimeout(resolve, this.#left, this.#left);
		const began = performance.now();
		const waited = await Promise.race([late, room.then(() => performance.now() - began)]);
		clearTimeout(timer);
		this.#left = Math.max(0, this.#left - waited);
	}

	/** Tells of messages that are done, while others of their key wait. */
	earn(messages: number): void {
		this.#left = Math.min(MOST_MS, this.#left + messages * this.#earned);
	}
}
