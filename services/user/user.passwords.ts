import { randomBytes } from "node:crypto";
import { hash, verify } from "@node-rs/argon2";

/** OWASP Password Storage Cheat Sheet (2025) for argon2id, the library's default: 19 MiB of memory, 2 passes, 1 lane. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** The argon2id hash of a password in PHC form, salt and cost included. */
export function hashPassword(password: string): Promise<string> {
	return hash(password, COST);
}

/** A check that costs the same time whether there is a hash to compare with or not. */
export type PasswordCheck = (passwordHash: string | undefined, password: string) => Promise<boolean>;

/** Makes a {@link PasswordCheck}; a missing hash is answered after comparing with a hash that nobody knows a password for. */
export async function passwordCheck(verifyHash = verify): Promise<PasswordCheck> {
	const nobodysHash = await hashPassword(randomBytes(32).toString("base64url"));
	return async (passwordHash, password) => {
		const matches = await verifyHash(passwordHash ?? nobodysHash, password);
		return matches && passwordHash !== undefined;
	};
}
