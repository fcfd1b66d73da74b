import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import { HTTP_LIMITS, type HttpLimits, httpServer } from "../../services/api/http-server.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import { RawConnection, sendRaw } from "../support/raw.ts";

useEnvironment();

const PING = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST_PING = "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

describe("Requests that two servers could read in two ways", () => {
	let app: App;
	before(async () => {
		app = await startApp({ after: () => {} });
	});
	after(() => app.stop());

	const post = (headers: string, body: string) =>
		`POST /v1/user/login HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
	const hidden = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
	const json = "Content-Type: application/json";

	const refused: [what: string, bytes: string][] = [
		[
			"Content-Length and Transfer-Encoding",
			post(`${json}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked`, `0\r\n\r\n${hidden}`)
		],
		[
			"Transfer-Encoding and Content-Length",
			post(`${json}\r\nTransfer-Encoding: chunked\r\nContent-Length: 6`, `0\r\n\r\n${hidden}`)
		],
		["two different Content-Lengths", post(`${json}\r\nContent-Length: 0\r\nContent-Length: ${hidden.length}`, hidden)],
		["two equal Content-Lengths", post(`${json}\r\nContent-Length: 2\r\nContent-Length: 2`, "{}")],
		["a list of Content-Lengths", post(`${json}\r\nContent-Length: 2, 2`, "{}")],
		["a negative Content-Length", post(`${json}\r\nContent-Length: -1`, hidden)],
		["a Content-Length with a sign", post(`${json}\r\nContent-Length: +2`, "{}")],
		["a hexadecimal Content-Length", post(`${json}\r\nContent-Length: 0x2`, "{}")],
		["a Content-Length that overflows", post(`${json}\r\nContent-Length: 99999999999999999999`, "{}")],
		[
			"a Transfer-Encoding that ends in another coding than chunked",
			post(`${json}\r\nTransfer-Encoding: chunked, identity`, hidden)
		],
		["an unknown Transfer-Encoding", post(`${json}\r\nTransfer-Encoding: xchunked`, hidden)],
		["a header that is folded over two lines", post(`${json}\r\nTransfer-Encoding:\r\n chunked`, `0\r\n\r\n${hidden}`)],
		["a space before a header's colon", post(`${json}\r\nTransfer-Encoding : chunked`, `0\r\n\r\n${hidden}`)],
		["header lines that end in a bare LF", "GET /ping HTTP/1.1\nHost: x\n\n"],
		["a header line that ends in a bare CR", "GET /ping HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"],
		["a NUL in a header", "GET /ping HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"],
		["a space in a header's name", "GET /ping HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n"],
		["no header's name", "GET /ping HTTP/1.1\r\nHost: x\r\n: z\r\n\r\n"],
		["a chunk whose size is not hexadecimal", post(`${json}\r\nTransfer-Encoding: chunked`, `xyz\r\n{}\r\n0\r\n\r\n`)],
		[
			"a chunk whose size overflows",
			post(`${json}\r\nTransfer-Encoding: chunked`, `fffffffffffffffff\r\n{}\r\n0\r\n\r\n`)
		],
		["a chunk that is longer than it says", post(`${json}\r\nTransfer-Encoding: chunked`, `1\r\n{}\r\n0\r\n\r\n`)],
		["a chunk that ends in a bare LF", post(`${json}\r\nTransfer-Encoding: chunked`, `2\r\n{}\n0\r\n\r\n`)],
		["no Host", "GET /ping HTTP/1.1\r\n\r\n"],
		["two Hosts", "GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"],
		["an unknown version", "GET /ping HTTP/9.9\r\nHost: x\r\n\r\n"],
		["an unknown method", "GETT /ping HTTP/1.1\r\nHost: x\r\n\r\n"],
		["a space in the path", "GET /ping /x HTTP/1.1\r\nHost: x\r\n\r\n"],
		["a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
		["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
	];
	for (const [what, bytes] of refused)
		it(`${what}: one 400, then the connection is closed and what follows is not read`, async () => {
			const { statuses, text, closed } = await sendRaw(app.client.url, bytes);
			assert.deepEqual(statuses, [400], text);
			assert.equal(closed, true);
			assert.equal(JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4)).code, 10002);
			assert.doesNotMatch(text, /pong/);
		});

	it("CONNECT, which would make a proxy of us, closes the connection", async () => {
		const { statuses, closed } = await sendRaw(
			app.client.url,
			"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"
		);
		assert.deepEqual(statuses, []);
		assert.equal(closed, true);
	});

	it("headers beyond 16 KiB: 431", async () => {
		const { statuses } = await sendRaw(
			app.client.url,
			`GET /ping HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(17_000)}\r\n\r\n`
		);
		assert.deepEqual(statuses, [431]);
	});
	it("a URL beyond 16 KiB: 431", async () => {
		const { statuses } = await sendRaw(app.client.url, `GET /${"a".repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
		assert.deepEqual(statuses, [431]);
	});
	it("the same of a HEAD: 431 without a body", async () => {
		const { text, statuses } = await sendRaw(app.client.url, `HEAD /${"a".repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
		assert.deepEqual(statuses, [431]);
		assert.match(text, /\r\n\r\n$/);
	});
	it("chunk extensions beyond 16 KiB: 413", async () => {
		const bytes = post(`${json}\r\nTransfer-Encoding: chunked`, `2;${"a".repeat(17_000)}\r\n{}\r\n0\r\n\r\n`);
		const { statuses } = await sendRaw(app.client.url, bytes);
		assert.deepEqual(statuses, [413]);
	});

	it("a small chunk extension changes nothing", async () => {
		const bytes = post(`${json}\r\nConnection: close\r\nTransfer-Encoding: chunked`, `2;a=b\r\n{}\r\n0\r\n\r\n`);
		assert.deepEqual((await sendRaw(app.client.url, bytes)).statuses, [422]);
	});
	it("trailers do not become headers", async () => {
		const { token } = await app.client.newUser();
		const bytes = `POST /v1/user/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${json}\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer ${token}\r\n\r\n`;
		assert.deepEqual((await sendRaw(app.client.url, bytes)).statuses, [401]);
	});
	it("pipelined requests are answered in order, each by itself", async () => {
		const { statuses, text } = await sendRaw(
			app.client.url,
			`${PING}GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n${LAST_PING}`
		);
		assert.deepEqual(statuses, [200, 404, 200]);
		assert.equal(new Set([...text.matchAll(/X-Request-ID: (\w{32})/g)].map(([, id]) => id)).size, 3);
	});
	it("an unread body of a refused request is not taken for the next request", async () => {
		const smuggled = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
		const bytes = `POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: ${smuggled.length}\r\nConnection: close\r\n\r\n${smuggled}`;
		assert.deepEqual((await sendRaw(app.client.url, bytes)).statuses, [404]);
	});
	it("a URL with the server's name leads where its path does", async () => {
		const targets = [
			"http://x/ping",
			"HTTPS://y:8/ping?",
			"http://x",
			"http://x?a=1",
			"http://x//ping",
			"http:///ping"
		];
		const bytes = targets.map(target => `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`).join("");
		const { statuses } = await sendRaw(app.client.url, bytes + LAST_PING);
		assert.deepEqual(statuses, [200, 200, 404, 404, 404, 404, 200]);
	});
	it("an Upgrade is ignored", async () => {
		const bytes =
			"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
		const { statuses } = await sendRaw(app.client.url, bytes);
		assert.deepEqual(statuses, [200]);
	});
});

describe("Clients that take their time", () => {
	const SHORT: HttpLimits = {
		...HTTP_LIMITS,
		headersTimeout: 300,
		requestTimeout: 600,
		keepAliveTimeout: 300,
		connectionsCheckingInterval: 50
	};

	async function startServer(t: TestContext, limits: Partial<HttpLimits> = {}): Promise<string> {
		const server = httpServer((req, res) => req.resume().on("end", () => res.end("done")), {
			limits: { ...SHORT, ...limits }
		});
		await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
		t.after(() => {
			server.closeAllConnections();
			server.close();
		});
		return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	}

	it("one header line after the other (slowloris): 408, and others are served meanwhile", async t => {
		const url = await startServer(t);
		const slow = Array.from({ length: 50 }, () => new RawConnection(url));
		t.after(() => slow.forEach(connection => void connection.close()));
		for (const connection of slow) connection.write("GET / HTTP/1.1\r\nHost: x\r\n");
		const dribble = setInterval(() => {
			for (const connection of slow) connection.write("X-A: b\r\n");
		}, 50);
		t.after(() => clearInterval(dribble));

		assert.deepEqual((await sendRaw(url, LAST_PING)).statuses, [200]);
		for (const connection of slow) {
			const { closed, statuses } = await connection.until(answer => answer.closed);
			assert.equal(closed, true);
			assert.deepEqual(statuses, [408]);
		}
	});

	it("a body that never ends (slow POST): 408", async t => {
		const url = await startServer(t);
		const slow = new RawConnection(url);
		t.after(() => slow.close());
		slow.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
		const dribble = setInterval(() => slow.write("a"), 50);
		t.after(() => clearInterval(dribble));
		assert.deepEqual((await slow.until(({ closed }) => closed)).statuses, [408]);
	});

	it("a connection that says nothing after its answer is closed", async t => {
		const url = await startServer(t);
		const idle = new RawConnection(url);
		t.after(() => idle.close());
		idle.write(PING);
		const { statuses, closed } = await idle.until(answer => answer.closed);
		assert.deepEqual(statuses, [200]);
		assert.equal(closed, true);
	});

	it("a connection that never says anything is closed", async t => {
		const url = await startServer(t);
		const mute = new RawConnection(url);
		t.after(() => mute.close());
		assert.equal((await mute.until(({ closed }) => closed)).closed, true);
	});

	it("more connections than are allowed are closed at once, and room that is given back is used", async t => {
		const url = await startServer(t, {
			maxConnections: 2,
			headersTimeout: 60_000,
			keepAliveTimeout: 60_000,
			requestTimeout: 60_000
		});
		const held = [new RawConnection(url), new RawConnection(url)];
		t.after(() => held.forEach(connection => void connection.close()));
		for (const connection of held) {
			connection.write(PING);
			await connection.until(({ text }) => text.includes("done"));
		}
		assert.deepEqual((await sendRaw(url, PING)).statuses, []);

		held[0]?.write(LAST_PING);
		await held[0]?.until(({ closed }) => closed);
		assert.deepEqual((await sendRaw(url, LAST_PING)).statuses, [200]);
	});

	it("a connection ends after its share of requests", async t => {
		const url = await startServer(t, { maxRequestsPerSocket: 2 });
		const connection = new RawConnection(url);
		t.after(() => connection.close());
		connection.write(PING);
		await connection.until(({ statuses }) => statuses.length === 1);
		connection.write(PING);
		const { text } = await connection.until(({ statuses }) => statuses.length === 2);
		assert.match(text.slice(text.lastIndexOf("HTTP/1.1")), /Connection: close/);
	});

	it("the limits of the real server are these", () => {
		const { headersTimeout, requestTimeout, maxHeaderSize } = HTTP_LIMITS;
		assert.deepEqual(
			{ headersTimeout, requestTimeout, maxHeaderSize },
			{ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 16_384 }
		);
		const server = httpServer(() => {});
		assert.deepEqual(
			[
				server.headersTimeout,
				server.requestTimeout,
				server.keepAliveTimeout,
				server.maxConnections,
				server.maxRequestsPerSocket,
				server.timeout
			],
			[10_000, 30_000, 65_000, 10_000, 10_000, 60_000]
		);
	});
});
