import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import { HTTP_LIMITS, type HttpLimits, httpServer } from "../../services/api/http-server.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import { RawConnection, sendRaw } from "../support/raw.ts";

useEnvironment();

const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const GARBAGE = "garbage\r\n\r\n";

/** A server whose answers are the test's own, and a connection to it. */
async function serve(t: TestContext, listener: RequestListener, limits: Partial<HttpLimits> = {}) {
	const server = httpServer(listener, {
		limits: { ...HTTP_LIMITS, connectionsCheckingInterval: 50, ...limits }
	});
	await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	const connection = new RawConnection(`http://127.0.0.1:${port}`);
	t.after(() => {
		connection.close();
		server.closeAllConnections();
		server.close();
	});
	return { server, port, connection };
}

describe("What can not be read behind a request that is carried out", () => {
	let app: App;
	before(async () => {
		app = await startApp({ after: () => {} });
	});
	after(() => app.stop());

	const body = JSON.stringify({ title: "a", content: "b" });
	const json = "Content-Type: application/json";
	const chunked = `POST /v1/user/login HTTP/1.1\r\nHost: x\r\n${json}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n`;
	const behind: [what: string, header: string, bytes: string][] = [
		["a line that is no request", "", GARBAGE],
		["a chunk without a length", "", chunked],
		["a line behind what expects something", "Expect: tea\r\n", GARBAGE]
	];
	for (const [what, header, bytes] of behind)
		it(`is answered after it: ${what}`, async () => {
			const { token } = await app.client.newUser();
			const head = `POST /v1/note HTTP/1.1\r\nHost: x\r\n${header}Authorization: Bearer ${token}\r\n${json}`;
			const note = `${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
			assert.deepEqual((await sendRaw(app.client.url, note + bytes)).statuses, [201, 400]);
		});

	it("does not get into an answer that is half sent", async t => {
		const answering = Promise.withResolvers<ServerResponse>();
		const { connection, server } = await serve(t, (_req, res) => answering.resolve(res));
		connection.write(GET);
		const res = await answering.promise;
		res.writeHead(200, { "Content-Length": 4 }).write("half");
		const failed = once(server, "clientError");
		connection.write(chunked);
		await failed;
		res.end();
		const { text, statuses } = await connection.until(({ closed }) => closed);
		assert.deepEqual(statuses, [200, 400]);
		assert.match(text, /\r\n\r\nhalfHTTP\/1\.1 400 /);
	});

	it("takes no memory, however much of it comes", async t => {
		const answering = Promise.withResolvers<ServerResponse>();
		const { connection, server } = await serve(t, (_req, res) => answering.resolve(res));
		connection.write(GET);
		const res = await answering.promise;
		const listeners = res.listenerCount("close");
		const failed = once(server, "clientError");
		connection.write(GARBAGE);
		const [, socket] = await failed;
		for (let i = 0; i < 20; i++) server.emit("clientError", new Error("and so on"), socket);
		assert.equal(res.listenerCount("close"), listeners + 1);
		assert.equal(socket.isPaused(), true);
		res.end();
		assert.deepEqual((await connection.until(({ closed }) => closed)).statuses, [200, 400]);
	});

	it("is not carried out when its rest comes after it was refused", async t => {
		const answering = Promise.withResolvers<ServerResponse>();
		const seen: unknown[] = [];
		const { connection, server } = await serve(
			t,
			(req, res) => {
				seen.push(req.url);
				answering.resolve(res);
			},
			{ headersTimeout: 100, requestTimeout: 200 }
		);
		const failed = once(server, "clientError");
		connection.write(`${GET}GET /late HTTP/1.1\r\nHo`);
		const res = await answering.promise;
		await failed;
		connection.write("st: x\r\n\r\n");
		res.end();
		assert.deepEqual((await connection.until(({ closed }) => closed)).statuses, [200, 408]);
		assert.deepEqual(seen, ["/"]);
	});
});

describe("A request that is refused in the midst of its body", () => {
	const SHORT = { headersTimeout: 100, requestTimeout: 200, farewellTimeout: 300 };
	const POST = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nab";

	it("is not carried out when the rest comes", async t => {
		let isCarriedOut = false;
		const listener: RequestListener = req => void req.resume().on("end", () => (isCarriedOut = true));
		const { connection, server } = await serve(t, listener, SHORT);
		connection.write(POST);
		await once(server, "clientError");
		connection.write("cdefgh");
		assert.deepEqual((await connection.until(({ closed }) => closed)).statuses, [408]);
		assert.equal(isCarriedOut, false);
	});

	it("is not carried out either where its body is asked for only then: Node would read on", async t => {
		let isCarriedOut = false;
		const asked = Promise.withResolvers<IncomingMessage>();
		const { connection, server } = await serve(t, req => asked.resolve(req), SHORT);
		connection.write(POST);
		const req = await asked.promise;
		await once(server, "clientError");
		req.resume().on("end", () => {
			isCarriedOut = true;
		});
		connection.write("cdefgh");
		assert.deepEqual((await connection.until(({ closed }) => closed)).statuses, [408]);
		assert.equal(isCarriedOut, false);
	});

	it("keeps its connection no longer, however it goes on", async t => {
		const { port } = await serve(t, req => void req.resume(), SHORT);
		const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {});
		client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
		const dribble = setInterval(() => client.write("a"), 20);
		t.after(() => {
			clearInterval(dribble);
			client.destroy();
		});
		await new Promise(resolve => client.resume().once("close", resolve));
	});

	it("spoils no answer that has begun", async t => {
		const listener: RequestListener = (_req, res) => void res.writeHead(200, { "Content-Length": 8 }).write("half");
		const { connection } = await serve(t, listener, SHORT);
		connection.write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
		await connection.until(({ text }) => text.endsWith("half"));
		connection.write("ZZ\r\n");
		const { text } = await connection.until(({ closed }) => closed);
		assert.match(text, /\r\n\r\nhalf$/);
	});

	it("costs no answer before it its rest, however much comes behind", async t => {
		const answer = "a".repeat(1_000_000);
		const answering = Promise.withResolvers<ServerResponse>();
		const { connection, server } = await serve(t, (_req, res) => answering.resolve(res));
		connection.write(GET);
		const res = await answering.promise;
		const failed = once(server, "clientError");
		connection.write(GARBAGE + "x".repeat(256 * 1024));
		await failed;
		res.end(answer);
		const { text, statuses } = await connection.until(({ closed }) => closed);
		assert.deepEqual(statuses, [200, 400]);
		assert.ok(text.includes(`\r\n\r\n${answer}HTTP/1.1 400`));
	});
});

describe("An answer that the client does not read", () => {
	for (const [what, more] of [
		["says nothing more", ""],
		["sends on what is no request", GARBAGE]
	] as const)
		it(`is given up, where the client ${what}`, async t => {
			const { promise: closed, resolve } = Promise.withResolvers<void>();
			// More than the kernel takes for a client that does not read.
			const huge = Buffer.alloc(32 * 1024 * 1024);
			const listener: RequestListener = (_req, res) => res.once("close", resolve).end(huge);
			const { port } = await serve(t, listener, { stallTimeout: 300 });
			const mute = connect(port, "127.0.0.1").pause();
			mute.on("error", () => {});
			mute.write(GET + more);
			const dribble = setInterval(() => more && mute.write(more), 50);
			t.after(() => {
				clearInterval(dribble);
				mute.destroy();
			});
			await closed;
			assert.equal(mute.bytesRead, 0);
		});
});
