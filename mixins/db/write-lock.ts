import { resolve } from "node:path";

/** Gives the lock back. Calling it again does nothing. */
export type Release = () => void;

/** A fair (first come, first served) mutual exclusion lock within this process. */
export class WriteLock {
	#last: Promise<void> = Promise.resolve();

	/**
	 * Waits for everyone who asked before and takes the lock.
	 *
	 * @param timeout how long to wait at most, in milliseconds
	 * @returns the function that gives it back, or undefined when the time is over
	 */
	async acquire(timeout: number): Promise<Release | undefined> {
		const previous = this.#last;
		const { promise: released, resolve: release } = Promise.withResolvers<void>();
		this.#last = previous.then(() => released);

		const { promise: late, resolve: giveUp } = Promise.withResolvers<"late">();
		const timer = setTimeout(giveUp, timeout, "late");
		const outcome = await Promise.race([previous, late]);
		clearTimeout(timer);
		if (outcome !== "late") return release;

		release();
		return undefined;
	}
}

const locks = new Map<string, WriteLock>();

/** The one write lock of a database file in this process, whoever asks and through whichever connection. */
export function writeLockOf(filename: string): WriteLock {
	const path = resolve(filename);
	const lock = locks.get(path) ?? new WriteLock();
	locks.set(path, lock);
	return lock;
}
