/** Repeats a job until it is stopped; one run at a time, and none keeps the process alive. */
export class Housekeeping {
	readonly #timers: NodeJS.Timeout[] = [];
	readonly #running = new Set<Promise<void>>();
	readonly #onError: (error: unknown) => void;

	constructor(onError: (error: unknown) => void) {
		this.#onError = onError;
	}

	/** @param interval milliseconds between two runs */
	every(interval: number, job: () => Promise<unknown>): void {
		let busy = false;
		const run = () => {
			if (busy) return;
			busy = true;
			const done = job()
				.then(() => {}, this.#onError)
				.finally(() => {
					busy = false;
					this.#running.delete(done);
				});
			this.#running.add(done);
		};
		this.#timers.push(setInterval(run, interval).unref());
	}

	/** Ends the repetition and waits for a run that is under way. */
	async stop(): Promise<void> {
		for (const timer of this.#timers.splice(0)) clearInterval(timer);
		await Promise.all(this.#running);
	}
}

const BATCH = 500;

/** Deletes batch after batch until one is not full. @returns how many went */
export async function purgeAll(purge: (batch: number) => Promise<number>): Promise<number> {
	let total = 0;
	for (;;) {
		const gone = await purge(BATCH);
		total += gone;
		if (gone < BATCH) return total;
	}
}
