import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import type { AuditPage } from "../../services/audit/audit.contract.ts";
import type { Note, NotePage } from "../../services/note/note.contract.ts";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import { Client, type TestUser } from "../support/client.ts";
import { type NodeProcess, spawnNode } from "../support/processes.ts";
import { until } from "../support/until.ts";

useEnvironment();

const write = (
	client: Client,
	{ token }: Pick<TestUser, "token">,
	key: string,
	json: object = { title: "a", content: "b" }
) => client.send("POST", "/v1/note", { token, json, headers: { "Idempotency-Key": key } });

async function notesOf(client: Client, { token }: Pick<TestUser, "token">): Promise<NotePage> {
	return assertSuccess(await client.send("GET", "/v1/note/query?limit=100", { token }));
}

describe("POST /v1/note with an Idempotency-Key", () => {
	let app: App;
	let client: Client;
	let user: TestUser;
	const stops: (() => Promise<void>)[] = [];
	before(async () => {
		app = await startApp({ after: (stop: () => Promise<void>) => void stops.push(stop) });
		client = app.client;
	});
	after(() => Promise.all(stops.map(stop => stop())));
	const freshUser = async () => {
		user = await client.newUser();
	};

	it("gives the first answer again, byte for byte, also when the note has changed since and however the fields stand", async () => {
		await freshUser();
		const first = await write(client, user, "k1", { title: "a", content: "b" });
		const note = assertSuccess<Note>(first, 201);
		const path = `/v1/note/${note.note_id}`;
		assertSuccess(await client.send("PUT", path, { token: user.token, json: { title: "changed" } }));

		const again = await write(client, user, "k1", { content: "b", title: "a" });
		assert.deepEqual([again.status, again.text, again.headers.location], [201, first.text, path]);
		assert.equal((await notesOf(client, user)).total, 1);
	});

	it("refuses another body under the key, and leaves the first answer in place", async () => {
		await freshUser();
		const first = await write(client, user, "k1");
		assertFailure(await write(client, user, "k1", { title: "other", content: "b" }), "invalid");
		assert.equal((await write(client, user, "k1")).text, first.text);
		assert.equal((await notesOf(client, user)).total, 1);
	});

	it("is another key for another user, and in another case", async () => {
		await freshUser();
		const other = await client.newUser();
		const ids = [];
		for (const [who, key] of [
			[user, "k1"],
			[other, "k1"],
			[user, "K1"]
		] as const)
			ids.push(assertSuccess<Note>(await write(client, who, key), 201).note_id);
		assert.equal(new Set(ids).size, 3);
	});

	it("of a refused request may be used again for a right one", async () => {
		await freshUser();
		assertFailure(await write(client, user, "k1", { title: "" }), "invalid");
		assertSuccess(await write(client, user, "k1"), 201);
	});

	for (const key of ["", "two words", "x".repeat(256), "é"])
		it(`is refused where the key is ${JSON.stringify(key).slice(0, 20)}`, async () => {
			await freshUser();
			assertFailure(await write(client, user, key), "invalid");
			assert.equal((await notesOf(client, user)).total, 0);
		});

	it("is one line of the audit log however often it is sent", async () => {
		await freshUser();
		for (let i = 0; i < 3; i++) await write(client, user, "k1");
		const last = assertSuccess<Note>(await write(client, user, "k2"), 201);
		const created = async () => {
			const page = assertSuccess<AuditPage>(await client.send("GET", "/v1/audit?limit=100", { token: user.token }));
			return page.entries.filter(({ action }) => action === "note.create");
		};
		await until("the last note is in the log", async () =>
			(await created()).some(({ object_id }) => object_id === String(last.note_id))
		);
		assert.equal((await created()).length, 2);
	});

	it("is forgotten when its time is over, and not before", async () => {
		await freshUser();
		await write(client, user, "k1");
		const note = app.broker.getLocalService("note") as unknown as {
			pruneIdempotencyKeys(): Promise<number>;
			db: { query(sql: string): Promise<unknown> };
		};
		assert.equal(await note.pruneIdempotencyKeys(), 0);
		await note.db.query("UPDATE idempotency_keys SET created_at = created_at - 24 * 3600000");
		// More than are removed at once: what is left would pile up under load.
		const many = Array.from({ length: 1_200 }, (_, i) => `('old', 'key ${i}', 'x', 0)`).join(", ");
		await note.db.query(`INSERT INTO idempotency_keys (owner, key_hash, fingerprint, created_at) VALUES ${many}`);
		assert.ok((await note.pruneIdempotencyKeys()) >= 1_201);
		assertSuccess(await write(client, user, "k1"), 201);
		assert.equal((await notesOf(client, user)).total, 2);
	});
});

describe("A process that is killed between commit and answer", () => {
	const DATA_DIR = temporaryFolder("idempotency");
	const start = async (...flags: string[]): Promise<{ process: NodeProcess; client: Client }> => {
		const env = { DATA_DIR, HOST: "127.0.0.1", PORT: "0", LOG_LEVEL: "info", TRACE_EXPORTER: "none", NODE_ENV: "test" };
		const process = spawnNode({ args: [...flags, ...RUNNER, "services"], env });
		const [, url] = await process.waitForLine(/API Gateway listening on (http:\S+)/);
		await process.waitForLine(/started successfully/);
		return { process, client: new Client(url as string) };
	};

	it("has written the note, and the next process gives its answer to the same key", async t => {
		const dying = await start("--import", "./test/support/die-after-commit.ts");
		const user = await dying.client.newUser();
		await assert.rejects(write(dying.client, user, "k1"), { code: "ECONNRESET" });
		assert.deepEqual(await dying.process.exited, { code: null, signal: "SIGKILL" });

		const next = await start();
		t.after(() => next.process.kill());
		const note = assertSuccess<Note>(await write(next.client, user, "k1"), 201);
		const { total, notes } = await notesOf(next.client, user);
		assert.deepEqual([total, notes[0]?.note_id], [1, note.note_id]);
	});
});
