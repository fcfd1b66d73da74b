import type { ServerResponse } from "node:http";

/**
 * Sends a JSON text with its length, which spares the chunks that Node would make of it; the answer to HEAD has no body.
 * @param headers others than those of the content
 */
export function answerJson(
	res: ServerResponse,
	status: number,
	text: string,
	headers: Readonly<Record<string, string>>
): void {
	res.writeHead(status, {
		"Content-Type": "application/json; charset=utf-8",
		"Content-Length": Buffer.byteLength(text),
		...headers
	});
	res.end(res.req.method === "HEAD" ? undefined : text);
}
