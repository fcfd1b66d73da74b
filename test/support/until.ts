import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 5;

/**
 * Waits until a condition holds; returns how many milliseconds that took.
 * @param timeout milliseconds
 * @throws Error that names `what` when the time is over
 */
export async function until(
	what: string,
	condition: () => boolean | Promise<boolean>,
	timeout = 20_000
): Promise<number> {
	const start = performance.now();
	while (!(await condition())) {
		if (performance.now() - start > timeout) throw new Error(`Waited ${timeout} ms in vain until ${what}`);
		await delay(POLL_MS);
	}
	return performance.now() - start;
}
