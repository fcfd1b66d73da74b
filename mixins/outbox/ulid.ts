import { randomBytes } from "node:crypto";

/** Crockford's base 32, https://github.com/ulid/spec */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** An id of 26 characters (ULID): 48 bits of milliseconds, then 80 random bits. Later ones sort later, so an index stays compact. */
export function ulid(now = Date.now()): string {
	const random = randomBytes(10).toString("hex");
	let value = (BigInt(now) << 80n) | BigInt(`0x${random}`);
	let text = "";
	for (let i = 0; i < 26; i++) {
		text = ALPHABET[Number(value & 31n)] + text;
		value >>= 5n;
	}
	return text;
}
