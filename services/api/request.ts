import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";

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
