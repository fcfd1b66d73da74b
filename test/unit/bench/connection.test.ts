import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { it, type TestContext } from "node:test";
import { bytesOf, Connections } from "../../../bench/compare/connection.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/** A server that answers every request the same, and the connections to it. */
async function serverOf(t: TestContext, answer: string) {
	const sockets: Socket[] = [];
	const server = createServer(socket => {
		sockets.push(socket);
		socket.on("data", () => socket.write(answer));
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
	const connections = new Connections(url);
	t.after(() => {
		connections.close();
		server.close();
	});
	const send = () => new Promise<boolean>(resolve => connections.send(bytesOf({ url, token: "t" }), resolve));
	return { sockets, send };
}

it("An answer that does not tell its length is a failed one, and its connection is not used again", async t => {
	const { sockets, send } = await serverOf(
		t,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
	);
	assert.deepEqual([await send(), await send()], [false, false]);
	assert.equal(sockets.length, 2);
});

it("A kept connection is used again, but not after four idle seconds: servers close those", async t => {
	const { sockets, send } = await serverOf(t, OK);

	let now = 0;
	t.mock.method(performance, "now", () => now);
	for (const [time, opened] of [
		[0, 1],
		[3_999, 1],
		[7_998, 1],
		[11_998, 2]
	] as const) {
		now = time;
		assert.equal(await send(), true);
		assert.equal(sockets.length, opened, `at ${time} ms`);
	}
});
