import { randomFillSync } from "node:crypto";

/** Crockford's base 32, https://github.com/ulid/spec */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;

/** An id of 26 characters (ULID): 48 bits of milliseconds, then 80 random bits. Later ones sort later, so an index stays compact. */
export function ulid(now = Date.now()): string {
	let time = "";
	for (let i = 0, rest = now; i < TIME_DIGITS; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
	let random = "";
	// Five bits of each byte: as evenly spread as the byte.
	for (const byte of randomFillSync(new Uint8Array(RANDOM_DIGITS))) random += ALPHABET[byte & 31];
	return time + random;
}
