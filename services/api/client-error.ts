import { type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { newId } from "../../lib/observability/trace-context.ts";
import { connectionsOf } from "./connections.ts";
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

/** What was refused since it could not be read as a request. */
export interface Unread {
	/** `X-Request-ID` of the answer. */
	id: string;
	status: number;
}

/** What Node tells of a request that it can not read, with the bytes that it has read last. */
type ClientError = NodeJS.ErrnoException & { rawPacket?: Buffer };

const HEAD = "HEAD ";

/**
 * Answers each connection of a server on which something comes that can not be read as a request, once.
 * @param farewellTimeout milliseconds that the client has to read the answer
 */
export function answerClientErrors(server: Server, farewellTimeout: number, onUnread: (unread: Unread) => void): void {
	const connections = connectionsOf(server);
	const refused = new WeakSet<Duplex>();
	server.on("clientError", (error, socket) => {
		if (refused.has(socket)) return;
		refused.add(socket);
		silence(socket);
		const answers = connections.get(socket as Socket) ?? [];
		const refuse = () => {
			// A client would take a refusal in the midst of an answer for the answer's rest.
			if (answers.some(res => res.headersSent && !res.writableEnded)) return void socket.destroy();
			// A request that has begun has its id, under which its handler counts and logs it.
			const begun = answers.findLast(({ req }) => !req.complete)?.getHeader("X-Request-ID");
			const id = String(begun ?? newId());
			const status = answerClientError(error, socket, id);
			if (status && !begun) onUnread({ id, status });
			// Closed at once, with something unread, a connection is reset, and what was sent is lost.
			setTimeout(() => socket.destroy(), farewellTimeout).unref();
		};
		// The answers to requests that are carried out come first.
		const carriedOut = answers.findLast(({ req }) => req.complete);
		if (carriedOut) carriedOut.once("close", refuse);
		else refuse();
	});
}

/**
 * Nothing more is read from a connection: it would take memory, or be carried out although it was refused. Node reads on for
 * whoever wants the rest of a body.
 */
function silence(socket: Duplex): void {
	socket.on("resume", () => socket.pause()).pause();
}

/**
 * Answers what Node's parser can not read as a request, which it hands over as a bare connection: an unknown method,
 * headers that are too long, a body that ends early. Then it closes the connection.
 * @returns the status; undefined where nobody is there to read it
 */
function answerClientError({ code, rawPacket }: ClientError, socket: Duplex, requestId: string): number | undefined {
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
