import { createHash } from "node:crypto";
import type { User } from "./user.contract.ts";

/** A stored user without the password's hash. */
export interface StoredUser {
	id: number;
	username: string;
	avatar: string;
}

/** A user as others may see it. */
export function present(user: StoredUser): User {
	return { user_id: user.id, username: user.username, avatar: user.avatar };
}

/**
 * A refresh token is `<session id>.<secret>`. Only the hash of the whole is stored: who reads the database can not
 * refresh, and an old token of the same session is recognised because its hash is not the current one.
 */
export function refreshToken(sessionId: string, secret: Buffer): string {
	return `${sessionId}.${secret.toString("base64url")}`;
}

/** The session that a refresh token belongs to, null for text that is not a refresh token. */
export function sessionIdOf(token: string): string | null {
	return /^([\w-]{22})\.[\w-]{43}$/.exec(token)?.[1] ?? null;
}

/** The stored form of a refresh token. The token has 256 random bits, so a plain hash is enough. */
export function tokenHash(token: string): string {
	return createHash("sha256").update(token).digest("hex");
}
