/** How the pauses between tries grow. Times in milliseconds. */
export interface Backoff {
	/** The longest first pause. */
	base: number;
	/** The longest pause of all. */
	cap: number;
}

/**
 * The pause before the next try: a random time up to a bound that doubles with each failed try and stays at the cap
 * ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param attempts failed tries so far, from 1
 * @returns milliseconds
 */
export function pause(attempts: number, { base, cap }: Backoff, random = Math.random): number {
	return Math.round(random() * Math.min(cap, base * 2 ** (attempts - 1)));
}
