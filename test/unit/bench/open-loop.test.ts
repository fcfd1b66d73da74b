import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { sendAtRate } from "../../../bench/compare/open-loop.ts";

const BODY = '{"success":true}';
const OK = `HTTP/1.1 201 Created\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const BUSY = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const RATE = 100;
const STALLED = 40;

const folder = mkdtempSync(join(tmpdir(), "notemesh-load-"));
const tokens = join(folder, "tokens");
writeFileSync(tokens, "one\ntwo\n");
const servers: Server[] = [];
after(() => {
	for (const server of servers) server.close();
	rmSync(folder, { recursive: true });
});

/** Sends a second of requests to a server that gives each to `answer` with its number. */
async function load(answer: (socket: Socket, request: string, number: number) => void, body?: string) {
	let number = 0;
	const server = createServer(socket => {
		socket.on("data", text => answer(socket, text.toString(), number++));
		socket.on("error", () => {});
	});
	servers.push(server);
	await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	const latency = await sendAtRate({
		url: `http://127.0.0.1:${port}/v1/note?limit=1`,
		tokens,
		rate: RATE,
		seconds: 1,
		...(body !== undefined && { body })
	});
	return { latency, sent: number };
}

describe("Requests at a constant rate", () => {
	it("are whole, another user's each, and as many as the rate says, whatever pieces their answers come in", async () => {
		const requests: string[] = [];
		const { latency, sent } = await load(async (socket, request) => {
			requests.push(request);
			for (const piece of [OK.slice(0, 5), OK.slice(5, -3), OK.slice(-3)]) {
				socket.write(piece);
				await nextTurn();
			}
		}, "{}");
		assert.equal(latency.failed, 0);
		assert.deepEqual([sent, latency.sent], [2 * RATE, 2 * RATE]);
		assert.match(
			requests[0] as string,
			/^POST \/v1\/note\?limit=1 HTTP\/1\.1\r\nHost: 127[\s\S]*Bearer one\r\n[\s\S]*Content-Length: 2\r\n\r\n\{\}$/
		);
		assert.match(requests[1] as string, /Bearer two\r\n/);
	});

	it("count as failed where they were refused, or their connection was closed", async () => {
		const { latency } = await load((socket, _, number) => {
			if (number % 20 === 7) socket.destroy();
			else socket.write(number % 20 === 13 ? BUSY : OK);
		});
		assert.equal(latency.failed, 20);
		// Histograms round.
		assert.ok(latency.max >= 10_000 && latency.max < 10_010);
		assert.ok(latency.p50 < 10_000);
	});

	it("leave whether those before are answered or not: a server that stops for a while stops for all who come then", async () => {
		const waiting: Socket[] = [];
		const { latency } = await load((socket, _, number) => {
			if (number < 1.5 * RATE || number >= 1.5 * RATE + STALLED) socket.write(OK);
			else if (waiting.push(socket) === STALLED) for (const each of waiting) each.write(OK);
		});
		assert.equal(latency.failed, 0);
		assert.equal(new Set(waiting).size, STALLED, "each on a connection of its own");
		// The first of them waits until the last has come.
		assert.ok(latency.max >= ((STALLED - 1) / RATE) * 1000 - 10, JSON.stringify(latency));
	});

	it("fail as a whole where none is answered", async () => {
		await assert.rejects(
			load(socket => socket.destroy()),
			/answered none of 200 requests/
		);
	});
});
