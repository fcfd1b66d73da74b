import type { Delivery } from "./transport.ts";

/** What a worker has in its hands, running or waiting, by its place in the stream. */
export class Held {
	/**
	 * Not a Map: V8 gives one a new table whenever the old one is used up, and the old one refers to the new one. So what has gone
	 * through it lives until the next major collection, and each minor one copies it.
	 */
	readonly #bySeq: Record<number, Delivery> = Object.create(null);
	#size = 0;

	get size(): number {
		return this.#size;
	}

	has({ seq }: Delivery): boolean {
		return seq in this.#bySeq;
	}

	add(delivery: Delivery): void {
		if (!this.has(delivery)) this.#size++;
		this.#bySeq[delivery.seq] = delivery;
	}

	/** Lets a message go; another copy of it stays. */
	delete(delivery: Delivery): void {
		if (this.#bySeq[delivery.seq] !== delivery) return;
		delete this.#bySeq[delivery.seq];
		this.#size--;
	}

	all(): Delivery[] {
		return Object.values(this.#bySeq);
	}
}
