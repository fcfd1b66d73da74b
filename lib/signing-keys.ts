import { randomBytes } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Env, isEmbedded } from "./env.ts";
import { MIN_SECRET_BYTES, type NamedKey } from "./env-rules.ts";

/**
 * The keys that sign access tokens: those of the environment or, in the embedded shape, one that is generated at the
 * first start and kept in DATA_DIR (mode 0600), so that tokens outlive a restart. Only services that sign or verify need
 * keys, so this is not `readEnv`'s to ask for.
 * @throws where keys are missing in production, or where several processes must agree on them
 */
export function signingKeys(env: Env): NamedKey[] {
	if (env.JWT_KEYS.length > 0) return env.JWT_KEYS;
	if (env.NODE_ENV === "production" || !isEmbedded(env))
		throw new Error("JWT_KEYS must be set in production and on MySQL");

	const file = join(env.DATA_DIR, "jwt-key");
	mkdirSync(env.DATA_DIR, { recursive: true });
	if (!existsSync(file)) createKey(file);
	const secret = readFileSync(file, "utf8").trim();
	if (Buffer.byteLength(secret) < MIN_SECRET_BYTES)
		throw new Error(`${resolve(file)} is not a whole key. Remove it: everybody has to log in again`);
	return [{ name: "embedded", secret }];
}

/** Writes a key that is there as a whole or not at all. Of two processes that start together, one is first, for both. */
function createKey(file: string): void {
	const draft = `${file}.${process.pid}`;
	try {
		writeFileSync(draft, randomBytes(48).toString("base64url"), { mode: 0o600 });
		linkSync(draft, file);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	} finally {
		rmSync(draft, { force: true });
	}
}
