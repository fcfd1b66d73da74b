/**
 * How long statements may hold the event loop before it turns, in milliseconds. One statement is never interrupted, so
 * a slow one takes what it takes; the slice keeps a thousand quick ones from adding up to one long pause.
 */
const SLICE_MS = 2;

const jobs: (() => void)[] = [];

function runSlice(): void {
	const end = performance.now() + SLICE_MS;
	do jobs.shift()?.();
	while (jobs.length > 0 && performance.now() < end);
	if (jobs.length > 0) setImmediate(runSlice);
}

/**
 * Runs a synchronous job in a coming turn of the event loop, in order of arrival.
 * Timers, sockets and other callbacks get their turn after every slice of jobs.
 *
 * @param job what to run; what it returns or throws becomes the promise's outcome
 */
export function inTurn<T>(job: () => T): Promise<T> {
	return new Promise((resolve, reject) => {
		const waiting = jobs.push(() => {
			try {
				resolve(job());
			} catch (error) {
				reject(error);
			}
		});
		if (waiting === 1) setImmediate(runSlice);
	});
}
