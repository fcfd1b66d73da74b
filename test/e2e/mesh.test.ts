import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type LocalMesh, startLocalMesh } from "../../scripts/local-mesh.ts";
import type { NodeProcess } from "../../scripts/node-process.ts";
import { routes } from "../../services/api/routes.ts";
import { startApp, useEnvironment } from "../support/app.ts";
import { Client } from "../support/client.ts";
import { conversation } from "../support/conversation.ts";
import { freePort } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";
import { openTerminal } from "../support/terminal.ts";

useEnvironment();
const servers = await requireServers("nats", "etcd", "mariadb", "redis");

describe("The mesh: api, user, points and two note processes on NATS, etcd and MariaDB", { skip: servers.skip }, () => {
	const dataDir = mkdtempSync(join(tmpdir(), "notemesh-mesh-"));
	let mesh: LocalMesh;
	let client: Client;
	let noteNode: NodeProcess;

	before(async () => {
		const http = await freePort();
		mesh = await startLocalMesh({ dataDir, ports: { http } });
		const [, node] = await Promise.all([
			mesh.startNode("user", "user-1"),
			mesh.startNode("note", "note-1"),
			mesh.startNode("note", "note-2"),
			mesh.startNode("points", "points-1"),
			mesh.startNode("api", "api-1")
		]);
		noteNode = node;
		client = new Client(`http://127.0.0.1:${http}`);
		await mesh.ready();
	});
	after(async () => {
		await mesh?.stop();
		rmSync(dataDir, { recursive: true, force: true });
	});

	it("answers every route as the embedded shape does, byte for byte but for ids, times and tokens", async t => {
		const { client: embedded } = await startApp(t);
		const expected = await conversation(embedded, "lorain");
		const actual = await conversation(client, "lorain");
		assert.deepEqual(actual, expected);

		const said = new Set(
			actual.map(({ request }) =>
				request
					.replace(/<note_id \d+>/, ":note_id")
					.replace(/saga\/(<gid>|unknown)/, "saga/:gid")
					.replace(/\?.*/, "")
			)
		);
		const unsaid = routes.map(({ method, path }) => `${method} ${path}`).filter(route => !said.has(route));
		assert.deepEqual(unsaid, [], "routes that the conversation leaves out");
	});

	it("serves the sequence of an easy-note client unchanged", async () => {
		const form = { username: "easy", password: "123456" };
		await client.send("POST", "/v1/user/register", { form });
		const login = await client.send("POST", "/v1/user/login", { form });
		assert.equal(typeof login.body.token, "string");
		const token = login.body.token as string;

		const created = await client.send("POST", "/v1/note", {
			token,
			json: { title: "test title", content: "test content" }
		});
		const query = await client.send("GET", "/v1/note/query?search_key=test&offset=0&limit=20", { token });
		assert.equal((query.body.data as { total: number }).total, 1);
		const path = `/v1/note/${(created.body.data as { note_id: number }).note_id}`;
		const updated = await client.send("PUT", path, { token, json: { title: "test", content: "test" } });
		const deleted = await client.send("DELETE", path, { token });
		assert.deepEqual([created.body.code, query.body.code, updated.body.code, deleted.body.code], [0, 0, 0, 0]);
	});

	it("is joined by the REPL, where nodes, services and calls work", async () => {
		const { username, user_id, token } = await client.newUser();
		await client.send("POST", "/v1/note", { token, json: { title: "From HTTP", content: "x" } });

		const terminal = openTerminal("node scripts/repl.ts", mesh.env);
		await terminal.waitFor(/notemesh \$/);
		await terminal.type("nodes", /note-2[\s\S]*user-1/);
		await terminal.type("services", /note[\s\S]*user/);
		await terminal.type(`call note.query --limit 1 --#user.id ${user_id}`, /title: 'From HTTP'/);
		await terminal.type(`notes ${username}`, /1 notes of [\s\S]*From HTTP/);
		await terminal.type("notes nobody-at-all", /No user is called "nobody-at-all"/);
		assert.equal(await terminal.leave("exit"), 0);
	});

	it("keeps every acknowledged note when a note process is killed in mid-traffic", async () => {
		const { token } = await client.newUser();
		const acknowledged: number[] = [];
		const refused = new Set<number>();
		const writer = async () => {
			while (acknowledged.length < 300) {
				const title = `note ${acknowledged.length}`;
				const answer = await client.send("POST", "/v1/note", { token, json: { title, content: title } });
				if (answer.status === 201) acknowledged.push((answer.body.data as { note_id: number }).note_id);
				else refused.add(answer.status);
				if (acknowledged.length >= 100 && noteNode.running) await noteNode.kill();
			}
		};
		await Promise.all(Array.from({ length: 8 }, writer));

		assert.equal(noteNode.running, false);
		const found = await allNotes(client, token);
		assert.deepEqual(
			acknowledged.filter(id => !found.has(id)),
			[],
			"acknowledged notes that are lost"
		);
		const undocumented = [...refused].filter(status => ![500, 503, 504].includes(status));
		assert.deepEqual(undocumented, []);
	});
});

async function allNotes(client: Client, token: string): Promise<Set<number>> {
	const found = new Set<number>();
	for (let cursor = ""; ; ) {
		const answer = await client.send("GET", `/v1/note/query?limit=100${cursor}`, { token });
		assert.equal(answer.status, 200);
		const page = answer.body.data as { notes: { note_id: number }[]; next_cursor: string | null };
		for (const note of page.notes) found.add(note.note_id);
		if (!page.next_cursor) return found;
		cursor = `&cursor=${page.next_cursor}`;
	}
}
