import type { BackoffOptions } from "./options.ts";

/**
 * Milliseconds to wait before the next attempt: exponential with "equal jitter", between half of the step and the step
 * (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015), so that the nodes of a mesh do not
 * come back to a restarted server in one wave.
 *
 * @param attempt number of failed attempts so far, from 0
 */
export function backoffDelay(
	{ base, max }: BackoffOptions,
	attempt: number,
	random: () => number = Math.random
): number {
	const step = Math.min(max, base * 2 ** Math.min(attempt, 30));
	return Math.round(step / 2 + (step / 2) * random());
}
