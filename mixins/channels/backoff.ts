const LONGEST_DELAY_MS = 300_000;
/** A message that came back before its attempt was put away would be taken for a copy of it, and wait for `ackWait`. */
const SHORTEST_DELAY_MS = 10;

/**
 * The delay before the next attempt: it doubles with each one up to five minutes, and a random part of up to a quarter
 * keeps messages that failed together from coming back together.
 *
 * @param first the delay after the first attempt, in milliseconds
 * @param attempts how many there were
 * @param random from 0 to 1
 */
export function retryDelay(first: number, attempts: number, random = Math.random()): number {
	const doubled = Math.min(first * 2 ** Math.min(attempts - 1, 30), LONGEST_DELAY_MS);
	return Math.max(SHORTEST_DELAY_MS, Math.round(doubled * (0.75 + random / 4)));
}
