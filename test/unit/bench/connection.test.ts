import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { it } from "node:test";
import { bytesOf, Connections } from "../../../bench/compare/connection.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

it("A kept connection is used again, but not after four idle seconds: servers close those", async t => {
	const sockets: Socket[] = [];
	const server = createServer(socket => {
		sockets.push(socket);
		socket.on("data", () => socket.write(OK));
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
	const connections = new Connections(url);
	t.after(() => {
		connections.close();
		server.close();
	});
	const send = () => new Promise<boolean>(resolve => connections.send(bytesOf({ url, token: "t" }), resolve));

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
