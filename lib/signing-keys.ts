import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Env, isEmbedded } from "./env.ts";
import type { SigningKey } from "./env-rules.ts";

/**
 * The keys that sign access tokens: those of the environment or, in the embedded shape, one that is generated at the
 * first start and kept in DATA_DIR (mode 0600), so that tokens outlive a restart. Only services that sign or verify need
 * keys, so this is not `readEnv`'s to ask for.
 * @throws where keys are missing in production, or where several processes must agree on them
 */
export function signingKeys(env: Env): SigningKey[] {
	if (env.JWT_KEYS.length > 0) return env.JWT_KEYS;
	if (env.NODE_ENV === "production" || !isEmbedded(env))
		throw new Error("JWT_KEYS must be set in production and on MySQL");

	const file = join(env.DATA_DIR, "jwt-key");
	mkdirSync(env.DATA_DIR, { recursive: true });
	try {
		// "wx" lets one of two processes that start together create the key; the other reads it.
		writeFileSync(file, randomBytes(48).toString("base64url"), { flag: "wx", mode: 0o600 });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
	return [{ kid: "embedded", secret: readFileSync(file, "utf8").trim() }];
}
