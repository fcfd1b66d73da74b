import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { cacherOf } from "../../lib/cacher.ts";
import { readEnv } from "../../lib/env.ts";
import { startRedis } from "../../scripts/servers/redis.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import type { NotePage } from "../../services/note/note.contract.ts";
import { assertSuccess } from "../support/answers.ts";
import { type App, startGateway, startNode, startSplitApp, useEnvironment } from "../support/app.ts";
import type { Client } from "../support/client.ts";
import { requireServers } from "../support/servers.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";

const { skip } = await requireServers("redis");
useEnvironment();

const ROUNDS = 20;

describe("Lists in Redis, with two gateways and two note nodes", { skip }, () => {
	const stops: (() => Promise<void>)[] = [];
	const suite = { after: (stop: () => Promise<void>) => void stops.push(stop) };
	let redis: LocalServer;
	/** Between the first note node and Redis. */
	let wire: TcpProxy;
	let app: App;
	let second: ServiceBroker;
	let clients: Client[];

	before(async () => {
		redis = await startRedis();
		wire = await TcpProxy.start(Number(new URL(redis.url).port));
		stops.push(() => wire.close());
		const cacher = (url: string) => cacherOf(readEnv({ ...process.env, CACHE: "redis", REDIS_URL: url }));
		app = await startSplitApp(suite, {}, {}, { worker: { cacher: cacher(`redis://127.0.0.1:${wire.port}`) } });
		second = await startNode(suite, app, "worker-2", ["note"], { cacher: cacher(redis.url) });
		clients = [app.client, await startGateway(suite, app)];
		await app.broker.waitForServices("note");
	});
	after(async () => {
		await Promise.all(stops.map(stop => stop()));
		await redis.stop();
	});

	const list = async (client: Client, token: string) =>
		assertSuccess<NotePage>(await client.send("GET", "/v1/note/query", { token }));

	it("show every write to whoever asks after its answer, through any gateway and node", async () => {
		const { token } = await app.client.newUser();
		let reading = true;
		// Readers in between are what could put an old list back.
		const readers = clients.flatMap(client =>
			Array.from({ length: 2 }, async () => {
				while (reading) await list(client, token);
			})
		);
		try {
			for (let round = 0; round < ROUNDS; round++) {
				const [writer, reader] = [clients[round % 2] as Client, clients[(round + 1) % 2] as Client];
				const json = { title: `Round ${round}`, content: "x" };
				const note = assertSuccess<{ note_id: number }>(await writer.send("POST", "/v1/note", { token, json }), 201);
				// Twice, so that both nodes of a round-robin are asked.
				for (const client of [reader, reader]) {
					const page = await list(client, token);
					assert.deepEqual([page.total, page.notes[0]?.note_id], [round + 1, note.note_id]);
				}
				const path = `/v1/note/${note.note_id}`;
				assertSuccess(await writer.send("PUT", path, { token, json: { title: "Changed" } }));
				assert.equal((await list(reader, token)).notes[0]?.title, "Changed");
				const gone = assertSuccess<{ note_id: number }>(await writer.send("POST", "/v1/note", { token, json }), 201);
				await list(reader, token);
				assertSuccess(await writer.send("DELETE", `/v1/note/${gone.note_id}`, { token }));
				assert.equal((await list(reader, token)).total, round + 1);
			}
		} finally {
			reading = false;
			await Promise.all(readers);
		}
	});

	it("are read from Redis while nobody writes, whichever node read them first", async () => {
		const { token, user_id } = await app.client.newUser();
		await list(app.client, token);
		const meta = { user: { id: user_id, role: "user", session_id: "s" } };
		for (const node of [app.worker, second]) {
			const found = node.getLocalService("note") as unknown as { notes: { page(): Promise<unknown> } };
			const { page } = found.notes;
			found.notes.page = () => Promise.reject(new Error("The database was asked"));
			const answer = await node.call<NotePage, object>("note.query", {}, { meta, nodeID: node.nodeID });
			assert.equal(answer.total, 0);
			found.notes.page = page;
		}
	});

	it("show a write after its answer also when Redis is slower than a command may take", async () => {
		const { user_id } = await app.client.newUser();
		const meta = { user: { id: user_id, role: "user", session_id: "s" } };
		const elsewhere = () => second.call<NotePage, object>("note.query", {}, { meta, nodeID: second.nodeID });
		assert.equal((await elsewhere()).total, 0);
		wire.delay = 400;
		setTimeout(() => {
			wire.delay = 0;
		}, 600);
		const note = { title: "Slow", content: "x" };
		await app.worker.call("note.create", note, { meta, nodeID: app.worker.nodeID });
		assert.equal((await elsewhere()).total, 1);
	});

	it("come from the database when Redis has gone, and writes are answered", async () => {
		const { token } = await app.client.newUser();
		await app.client.newNote(token);
		assert.equal((await list(app.client, token)).total, 1);
		await redis.stop();
		await app.client.newNote(token);
		assert.equal((await list(app.client, token)).total, 2);
	});
});
