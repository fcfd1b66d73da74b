import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { drainable } from "../../services/api/drain.ts";
import { until } from "../support/until.ts";

/** Longer than any of these tests may take: nothing is cut off. */
const times = { notice: 0, finish: 3_600_000 };
const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async function listening(t: TestContext, listener: RequestListener) {
	const server = createServer(listener);
	const drain = drainable(server);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.after(() => server.closeAllConnections());
	return {
		server,
		drain,
		async connection() {
			const accepted = once(server, "connection");
			const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").setEncoding("utf8");
			await accepted;
			return socket;
		}
	};
}

describe("A server that drains", { timeout: 30_000 }, () => {
	it("does not wait for a connection over which nothing was sent", async t => {
		const { drain, connection } = await listening(t, (_req, res) => res.end("done"));
		const socket = await connection();
		const ended = once(socket, "close");
		await drain(times);
		await ended;
	});

	it("answers a request that is under way, and ends a connection that has had its answer", async t => {
		const slow = Promise.withResolvers<ServerResponse>();
		const { drain, connection } = await listening(t, (req, res) => {
			if (req.url === "/slow") slow.resolve(res);
			else res.end("done");
		});
		const [idle, busy] = [await connection(), await connection()];
		idle.write(GET);
		await once(idle, "data");
		busy.write(GET.replace("/", "/slow"));
		const answer = await slow.promise;
		const ended = once(idle.resume(), "close");
		const drained = drain(times);
		await ended;
		answer.end("done");
		// Who is not told would keep the connection, and the server would wait until it was idle for long.
		assert.match(String(await once(busy, "data")), /^connection: close\r$.*done/ims);
		busy.resume();
		await drained;
	});

	it("ends a connection after the last of its requests that were sent together", async t => {
		const slow = Promise.withResolvers<ServerResponse>();
		const { drain, connection } = await listening(t, (req, res) => {
			if (req.url === "/slow") slow.resolve(res);
			else res.end("first");
		});
		const socket = await connection();
		let answers = "";
		socket.on("data", text => {
			answers += text;
		});
		socket.write(GET + GET.replace("/", "/slow"));
		const answer = await slow.promise;
		await until("the first is answered", () => answers.includes("first"));
		const drained = drain(times);
		answer.end("second");
		await once(socket, "close");
		await drained;
		assert.match(answers, /first.*^connection: close\r$.*second/ims);
	});

	it("cuts off what takes longer than it may", async t => {
		const { server, drain, connection } = await listening(t, () => {});
		const socket = await connection();
		const asked = once(server, "request");
		let answer = "";
		socket.on("data", text => {
			answer += text;
		});
		const ended = once(socket, "close");
		socket.write(GET);
		await asked;
		await drain({ notice: 0, finish: 20 });
		await ended;
		assert.equal(answer, "");
	});

	it("keeps nothing of connections that have ended", async t => {
		const { server, drain, connection } = await listening(t, (_req, res) => res.end("done"));
		const accepted = once(server, "connection");
		const socket = await connection();
		const [served] = (await accepted) as [Socket];
		const ended = once(served, "close");
		socket.destroy();
		await ended;
		const destroy = t.mock.method(served, "destroy");
		await drain(times);
		assert.equal(destroy.mock.callCount(), 0);
	});

	it("goes on as before for as long as it was told", async t => {
		const { server, drain } = await listening(t, (_req, res) => res.end("done"));
		const drained = drain({ ...times, notice: 20 });
		assert.equal(server.listening, true);
		await drained;
		assert.equal(server.listening, false);
	});

	it("does not wait where it never listened", async () => {
		const closed = drainable(createServer())({ notice: 1_000 }).then(() => "closed");
		assert.equal(await Promise.race([closed, nextTurn("it waits")]), "closed");
	});
});
