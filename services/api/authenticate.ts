import type { IncomingMessage } from "node:http";

/** Where a browser says that a request comes from, as long as no other site's page has made it. */
const OWN_SITES: readonly unknown[] = [undefined, "same-origin", "none"];

/**
 * The access token of a request: `Authorization: Bearer`, else the cookie `jwt`. Never the query: URLs end up in logs. A
 * browser sends cookies along whoever makes it send the request; so a page of another site can not use them.
 */
export function tokenOf(req: IncomingMessage): string | undefined {
	const { authorization, cookie } = req.headers;
	if (authorization !== undefined) return /^Bearer ([\w.~+/-]+=*)$/i.exec(authorization)?.[1];
	if (!OWN_SITES.includes(req.headers["sec-fetch-site"])) return undefined;
	return cookie
		?.split(";")
		.map(pair => pair.trim())
		.find(pair => pair.startsWith("jwt="))
		?.slice("jwt=".length);
}

/** The sessions that ended while access tokens of theirs may still be valid. */
export class RevokedSessions {
	/** Whether the sessions that ended before this process began are known, too: until then no token can be trusted. */
	complete = false;
	readonly #ends = new Map<string, number>();
	readonly #seconds: number;

	/** @param seconds life of an access token: a revocation that is older cannot matter any more */
	constructor(seconds: number) {
		this.#seconds = seconds;
	}

	add(sessionIds: readonly string[]): void {
		const now = Date.now();
		for (const [id, end] of this.#ends) if (end < now) this.#ends.delete(id);
		for (const id of sessionIds) this.#ends.set(id, now + this.#seconds * 1000);
	}

	has(sessionId: string): boolean {
		return this.#ends.has(sessionId);
	}
}
