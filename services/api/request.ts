import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { fieldError } from "../../lib/errors.ts";

/** An id for a request, which is its trace's id too: 128 random bits in hexadecimal. */
export function newRequestId(): string {
	return randomBytes(16).toString("hex");
}

/** Path and query of a request as the client sent them, still percent-encoded. */
export function splitUrl(req: Pick<IncomingMessage, "url"> & { originalUrl?: string }): {
	path: string;
	search: string;
} {
	const [path = "", ...search] = (req.originalUrl ?? req.url ?? "").split("?");
	return { path, search: search.join("?") };
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * What a client calls its request (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header).
 * @throws VALIDATION_ERROR where it is not 1 to 255 visible ASCII characters
 */
export function idempotencyKey({ headers }: IncomingMessage): string | undefined {
	const key = headers["idempotency-key"];
	if (key === undefined || (typeof key === "string" && KEY.test(key))) return key;
	throw fieldError(
		"Idempotency-Key",
		"header",
		"The header 'Idempotency-Key' must be 1 to 255 visible ASCII characters."
	);
}
