import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { Code, type Envelope } from "./envelope.ts";

/** The statuses that Node itself gives these errors. */
const statuses: Readonly<Record<string, number>> = {
	HPE_HEADER_OVERFLOW: 431,
	HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
	ERR_HTTP_REQUEST_TIMEOUT: 408
};

/** That of any other error. */
const OTHERWISE = 400;
/** The statuses of what can not be read as a request. */
export const UNREAD_STATUSES: readonly number[] = [OTHERWISE, ...Object.values(statuses)];

/** What Node tells of a request that it can not read, with the bytes that it has read last. */
type ClientError = NodeJS.ErrnoException & { rawPacket?: Buffer };

const HEAD = "HEAD ";

/**
 * Answers what Node's parser can not read as a request, which it hands over as a bare connection: an unknown method,
 * headers that are too long, a body that ends early. Then it closes the connection.
 * @returns the status; undefined where nobody is there to read it
 */
export function answerClientError(
	{ code, rawPacket }: ClientError,
	socket: Duplex,
	requestId: string
): number | undefined {
	if (!socket.writable) {
		socket.destroy();
		return undefined;
	}
	const status = statuses[code ?? ""] ?? OTHERWISE;
	const message = STATUS_CODES[status] as string;
	const body = JSON.stringify({ code: Code.ParamErr, message, data: { errors: [] } } satisfies Envelope);
	const head = [
		`HTTP/1.1 ${status} ${message}`,
		"Content-Type: application/json; charset=utf-8",
		`Content-Length: ${Buffer.byteLength(body)}`,
		`X-Request-ID: ${requestId}`,
		"X-Content-Type-Options: nosniff",
		"Cache-Control: no-store",
		"Connection: close"
	];
	// A body is what a client that asked for the head alone would take for the next answer.
	const isHead = rawPacket?.subarray(0, HEAD.length).toString("latin1") === HEAD;
	socket.end(`${head.join("\r\n")}\r\n\r\n${isHead ? "" : body}`);
	return status;
}
