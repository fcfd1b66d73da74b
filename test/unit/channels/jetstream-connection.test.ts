import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { it } from "node:test";
import { connectForever } from "../../../mixins/channels/jetstream/connection.ts";
import { until } from "../../support/until.ts";

/** More than the client would try by itself. */
const REFUSALS = 12;
const INFO = { server_id: "S", version: "2.10.0", proto: 1, headers: true, max_payload: 1_048_576 };

it("A connection to NATS is tried for as long as the server is away", { timeout: 60_000 }, async t => {
	// No pause between two tries is longer than it must be.
	t.mock.method(Math, "random", () => 0);
	let isAway = false;
	let tries = 0;
	const sockets = new Set<Socket>();
	const server = createServer(socket => {
		tries++;
		if (isAway) return void socket.destroy();
		sockets.add(socket);
		socket.on("error", () => {});
		socket.on("data", text => {
			if (text.includes("PING")) socket.write("PONG\r\n");
		});
		socket.write(`INFO ${JSON.stringify(INFO)}\r\n`);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	t.after(() => server.close());

	let reconnects = 0;
	const connection = await connectForever(
		{ servers: `127.0.0.1:${port}` },
		{
			onReconnect: () => void reconnects++,
			onFailure: assert.fail,
			signal: new AbortController().signal
		}
	);
	t.after(() => connection.close());
	isAway = true;
	for (const socket of sockets) socket.destroy();
	await until("it was refused often", () => tries > REFUSALS || connection.isClosed());
	assert.deepEqual([connection.isClosed(), reconnects], [false, 0]);
	isAway = false;
	await until("it is connected again", () => reconnects === 1);
});
