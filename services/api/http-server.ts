import { createServer, IncomingMessage, type RequestListener, type Server, ServerResponse } from "node:http";
import cors from "cors";
import helmet from "helmet";
import { newId } from "../../lib/observability/trace-context.ts";
import { answerJson } from "./answer.ts";
import { apiError } from "./api.contract.ts";
import { answerClientErrors, type Unread } from "./client-error.ts";
import { failure } from "./envelope.ts";
import { traceOf } from "./trace.ts";

/** What one client may hold of the server, and for how long. Times are in milliseconds. */
export interface HttpLimits {
	/** From the connection, or the last answer, to the end of the headers: a client that dribbles them is cut off. */
	headersTimeout: number;
	/** From the connection, or the last answer, to the end of the body. */
	requestTimeout: number;
	/** How long an idle connection is kept: longer than a load balancer's own 60 s, so that it is the one to close. */
	keepAliveTimeout: number;
	/**
	 * How long no byte goes either way while an answer is under way: a client that does not read it is cut off. Node counts
	 * what the kernel took at first as progress, so it may take twice as long. Longer than `requestTimeout`, which answers.
	 */
	stallTimeout: number;
	/** How long a client whose request can not be read may take to read why, and what it was answered before. */
	farewellTimeout: number;
	/** How often the two first are looked at. */
	connectionsCheckingInterval: number;
	/** Bytes of all headers together. */
	maxHeaderSize: number;
	/** Requests on one connection, so that clients spread over the nodes again. */
	maxRequestsPerSocket: number;
	/** Open connections; more are closed at once. */
	maxConnections: number;
}

export const HTTP_LIMITS: HttpLimits = {
	headersTimeout: 10_000,
	requestTimeout: 30_000,
	keepAliveTimeout: 65_000,
	stallTimeout: 60_000,
	farewellTimeout: 2_000,
	connectionsCheckingInterval: 1_000,
	maxHeaderSize: 16_384,
	maxRequestsPerSocket: 10_000,
	maxConnections: 10_000
};

/**
 * This API is for programs: nothing in an answer may load, run, frame or be framed, and no answer is kept. The headers
 * are the same on every answer, so helmet is asked once.
 */
function securityHeaders(): Map<string, string> {
	const answer = new ServerResponse(new IncomingMessage(undefined as never));
	const secure = helmet({
		contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
		referrerPolicy: { policy: "no-referrer" },
		xFrameOptions: { action: "deny" },
		crossOriginResourcePolicy: { policy: "same-origin" }
	});
	secure(answer.req, answer, () => {});
	answer.setHeader("Cache-Control", "no-store");
	return new Map(Object.entries(answer.getHeaders()).map(([name, value]) => [name, String(value)]));
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"];
const REQUEST_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "traceparent"];
const ANSWER_HEADERS = [
	"Location",
	"Retry-After",
	"X-Request-ID",
	"X-RateLimit-Limit",
	"X-RateLimit-Remaining",
	"X-RateLimit-Reset"
];
const PREFLIGHT_SECONDS = 600;

/** What a client puts before the path that takes the server for a proxy; RFC 9112 section 3.2.2 wants it understood. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?]+\/?/i;

type Handler = (req: IncomingMessage, res: ServerResponse) => unknown;

interface HttpServerOptions {
	/** Browser origins that may read answers; none: a preflight is answered like any unknown method. */
	corsOrigins?: readonly string[];
	limits?: HttpLimits;
	/** Is told of what the handler does not get to see. */
	onUnread?: (unread: Unread) => void;
}

/** Makes the HTTP server in front of the gateway: limits on connections, security headers on every answer, and CORS. */
export function httpServer(
	handler: Handler,
	{ corsOrigins = [], limits = HTTP_LIMITS, onUnread = () => {} }: HttpServerOptions = {}
): Server {
	const { maxRequestsPerSocket, maxConnections, stallTimeout, farewellTimeout, ...options } = limits;
	const allowOrigin = crossOrigin(corsOrigins);
	const headers = securityHeaders();
	const listener: RequestListener = (req, res) => {
		res.setHeaders(headers);
		if (!req.url?.startsWith("/")) req.url = req.url?.replace(ABSOLUTE_FORM, "/");
		// No answer has an ETag, but moleculer-web finds that "*" fits each: it carries a request out and answers 304.
		if (req.headers["if-none-match"]) delete req.headers["if-none-match"];
		const hosts = hostsOf(req);
		if (hosts > 1 || (hosts === 0 && req.httpVersion === "1.1")) onUnread(refuseHost(req, res));
		else allowOrigin(req, res, () => handler(req, res));
	};
	// Node's own refusals of a missing Host and of an unknown Expect have no body; ours have one, and ignore Expect.
	const server = createServer({ ...options, insecureHTTPParser: false, requireHostHeader: false }, listener);
	server.on("checkExpectation", listener);
	answerClientErrors(server, farewellTimeout, onUnread);
	return Object.assign(server, { maxRequestsPerSocket, maxConnections, timeout: stallTimeout });
}

function crossOrigin(
	origins: readonly string[]
): (req: IncomingMessage, res: ServerResponse, next: () => void) => void {
	if (origins.length === 0) return (_req, _res, next) => next();

	const allow = cors({
		origin: [...origins],
		methods: METHODS,
		maxAge: PREFLIGHT_SECONDS,
		allowedHeaders: REQUEST_HEADERS,
		exposedHeaders: ANSWER_HEADERS
	});
	return (req, res, next) => {
		// The library takes every OPTIONS request for a preflight and answers it.
		const isOptions = req.method === "OPTIONS";
		const asksForNothing = isOptions && !req.headers["access-control-request-method"];
		// The gateway, which gives requests their ids, does not see a preflight.
		if (isOptions) res.setHeader("X-Request-ID", newId());
		// Tells browsers that a page of these origins may use what is marked as same-origin only.
		if (origins.includes(req.headers.origin ?? "")) res.setHeader("Cross-Origin-Resource-Policy", "cross-origin");
		if (asksForNothing) next();
		else allow(req, res, next);
	};
}

/** How many Host headers there are: `req.headers` shows one, and `headersDistinct` would be made of all headers for each request. */
function hostsOf({ rawHeaders }: IncomingMessage): number {
	return rawHeaders.filter((text, i) => i % 2 === 0 && text.length === 4 && text.toLowerCase() === "host").length;
}

/** RFC 9112 section 3.2: a request without Host is refused, and one with several. */
function refuseHost(req: IncomingMessage, res: ServerResponse): Unread {
	const { status, body } = failure(apiError("HOST_NOT_ONE"));
	const { traceID: id } = traceOf(req);
	answerJson(res, status, JSON.stringify(body), { "X-Request-ID": id, Connection: "close" });
	return { id, status };
}
