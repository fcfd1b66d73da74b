import type { IncomingMessage } from "node:http";

/** Path and query of a request as the client sent them, still percent-encoded. */
export function splitUrl(req: Pick<IncomingMessage, "url"> & { originalUrl?: string }): {
	path: string;
	search: string;
} {
	const [path = "", ...search] = (req.originalUrl ?? req.url ?? "").split("?");
	return { path, search: search.join("?") };
}
