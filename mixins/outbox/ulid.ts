import { randomFillSync } from "node:crypto";

/** Crockford's base 32, https://github.com/ulid/spec */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;

/** Random bytes in stock: asking the system for each id costs more than the rest of it. */
const stock = new Uint8Array(256 * RANDOM_DIGITS);
let used = stock.length;

function randomBytes(): Uint8Array {
	if (used === stock.length) {
		randomFillSync(stock);
		used = 0;
	}
	used += RANDOM_DIGITS;
	return stock.subarray(used - RANDOM_DIGITS, used);
}

/** An id of 26 characters (ULID): 48 bits of milliseconds, then 80 random bits. Later ones sort later, so an index stays compact. */
export function ulid(now = Date.now()): string {
	let time = "";
	for (let i = 0, rest = now; i < TIME_DIGITS; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
	let random = "";
	// Five bits of each byte: as evenly spread as the byte.
	for (const byte of randomBytes()) random += ALPHABET[byte & 31];
	return time + random;
}
