import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createConnection } from "mysql2/promise";
import { type LocalMesh, startLocalMesh } from "../../../scripts/local-mesh.ts";
import { type NodeProcess, spawnNode } from "../../../scripts/node-process.ts";
import { Client } from "../../support/client.ts";
import { flat, JaegerCollector, type SpanTree } from "../../support/jaeger-collector.ts";
import { freePort } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";

const servers = await requireServers("nats", "etcd", "mariadb", "redis");

const PASSWORD = "planted-password-1";
const WRONG_PASSWORD = "planted-password-2";
const NEXT_PASSWORD = "planted-password-3";
const TEXT = "planted-note-text";

/** Name, service and node of every span, indented by depth; spans beside each other by name. */
function outline({ name, service, process, children }: SpanTree, depth = 0): string[] {
	const below = children.map(child => outline(child, depth + 1));
	return [`${"  ".repeat(depth)}${name} (${service} on ${process["node.id"]})`, ...below.sort().flat()];
}

describe("Traces of a mesh: each service in a process of its own", { skip: servers.skip }, () => {
	const dataDir = mkdtempSync(join(tmpdir(), "notemesh-tracing-"));
	const collector = new JaegerCollector();
	let mesh: LocalMesh;
	let client: Client;
	let nodes: NodeProcess[];
	const secrets: string[] = [];

	before(async () => {
		await collector.start();
		const http = await freePort();
		mesh = await startLocalMesh({ dataDir, ports: { http } });
		// One node exports over UDP, the others over HTTP: traces are put together from both.
		nodes = await Promise.all([
			mesh.startNode("user", "user-1", { JAEGER_ENDPOINT: collector.endpoint }),
			mesh.startNode("note", "note-1", { JAEGER_AGENT: collector.agent }),
			mesh.startNode("points", "points-1", { JAEGER_ENDPOINT: collector.endpoint }),
			mesh.startNode("api", "api-1", { JAEGER_ENDPOINT: collector.endpoint })
		]);
		client = new Client(`http://127.0.0.1:${http}`);
		await mesh.ready();
	});
	after(async () => {
		await mesh?.stop();
		await collector.stop();
		rmSync(dataDir, { recursive: true, force: true });
	});

	it("go from the HTTP request over every call to every statement, under the id that the answer names", async () => {
		const { token, refresh_token, username } = await client.newUser("tracy", PASSWORD);
		secrets.push(PASSWORD, token, refresh_token);
		const answer = await client.send("POST", "/v1/note", { token, json: { title: TEXT, content: TEXT } });
		const root = await collector.trace(String(answer.headers["x-request-id"]), 9);

		assert.deepEqual(outline(root), [
			"POST /v1/note (api on api-1)",
			"  action 'note.create' (note on note-1)",
			"    COMMIT (note on note-1)",
			"    INSERT note_totals (note on note-1)",
			"    INSERT notes (note on note-1)",
			"    INSERT outbox (note on note-1)",
			"    START (note on note-1)",
			"    action 'user.mget' (user on user-1)",
			"      SELECT users (user on user-1)"
		]);
		assert.equal(root.parentId, undefined);
		assert.deepEqual(
			[root.tags["http.method"], root.tags["http.route"], root.tags["http.status_code"], root.tags["span.kind"]],
			["POST", "/v1/note", 201, "server"]
		);
		const [statement] = flat(root).filter(span => span.name === "SELECT users");
		assert.deepEqual(
			[statement?.tags["db.system"], statement?.tags["db.rows"], statement?.tags["span.kind"]],
			["mysql", 1, "client"]
		);
		assert.match(String(statement?.tags["db.statement"]), /^SELECT .* FROM `users` .* IN \(\?\) ORDER BY/);
		assert.ok(flat(root).every(span => span.duration > 0 && span.duration <= root.duration));
		assert.equal(username, "tracy");
	});

	it("follow an event to the node that hears it", async () => {
		const { token } = await client.newUser("evan", PASSWORD);
		secrets.push(token);
		const answer = await client.send("POST", "/v1/user/logout", { token });
		const traceId = String(answer.headers["x-request-id"]);
		const name = "event 'user.sessionsRevoked' in 'api'";
		await collector.until(() => collector.of(traceId).some(span => span.name === name), "the event was heard");
		const heard = flat(await collector.trace(traceId)).find(span => span.name === name);
		assert.equal(heard?.process["node.id"], "api-1");
	});

	it("tell where an error of another process came from", async () => {
		const { token } = await client.newUser("erin", PASSWORD);
		secrets.push(token);
		const answer = await client.send("GET", "/v1/note/999999", { token });
		const root = await collector.trace(String(answer.headers["x-request-id"]), 3);
		const failed = flat(root).filter(span => span.tags.error === true);
		assert.deepEqual(
			failed.map(({ name, tags }) => [name, tags["error.type"], tags["error.code"]]),
			[
				["GET /v1/note/:note_id", "NOTE_NOT_FOUND", 404],
				["action 'note.get'", "NOTE_NOT_FOUND", 404]
			]
		);
		assert.equal(root.tags["http.status_code"], 404);
	});

	it("hold no password, token, hash or text, whatever happens to them", async () => {
		const sent = (method: string, path: string, json: object, token?: string) =>
			client.send(method, path, { json, ...(token && { token }) });
		const { token, refresh_token } = await client.newUser("sally", PASSWORD);
		const password = { old_password: PASSWORD, new_password: NEXT_PASSWORD };
		await sent("POST", "/v1/user/login", { username: "sally", password: WRONG_PASSWORD });
		await sent("POST", "/v1/user/register", { username: "sally", password: WRONG_PASSWORD });
		await sent("POST", "/v1/user/register", { username: "sally2", password: { value: WRONG_PASSWORD } });
		await sent("POST", "/v1/user/login", { username: WRONG_PASSWORD, password: WRONG_PASSWORD, token: WRONG_PASSWORD });
		await sent("PUT", "/v1/user/password", { ...password, old_password: WRONG_PASSWORD }, token);
		await sent("PUT", "/v1/user/password", { ...password, hint: WRONG_PASSWORD }, token);
		const refreshed = await sent("POST", "/v1/user/refresh", { refresh_token });
		await sent("POST", "/v1/user/refresh", { refresh_token });
		const login = await sent("POST", "/v1/user/login", { username: "sally", password: PASSWORD });
		const tokens = [refreshed.body, login.body] as unknown as { token: string; refresh_token: string }[];
		await sent("PUT", "/v1/user/password", password, tokens[1]?.token);
		const last = await client.send("GET", `/v1/note/query?search_key=${TEXT}&token=${token}`, { token });
		await collector.trace(String(last.headers["x-request-id"]));

		const database = await createConnection(`${mesh.servers.mariadb.url}/notemesh_user`);
		const [users] = await database.query("SELECT password_hash AS secret FROM users");
		const [sessions] = await database.query("SELECT token_hash AS secret FROM sessions");
		await database.end();
		const hashes = [users, sessions]
			.flatMap(rows => rows as { secret: Buffer | string }[])
			.map(row => String(row.secret));
		assert.ok(hashes.length >= 5);
		for (const node of nodes) await node.stop();

		secrets.push(WRONG_PASSWORD, NEXT_PASSWORD, TEXT, token, refresh_token, ...hashes);
		secrets.push(...tokens.flatMap(pair => [pair.token, pair.refresh_token]));
		const wire = Buffer.concat(collector.packets).toString("latin1");
		assert.ok(collector.spans.length > 50);
		for (const secret of secrets) assert.equal(wire.includes(secret), false, `found ${secret}`);
	});
});

describe("npm run trace:demo", { skip: servers.skip }, () => {
	it("prints the spans of one GET of a mesh that it starts, over two services to their SQL, and leaves nothing running", async () => {
		const demo = spawnNode({ args: ["scripts/trace-demo.ts"] });
		const { code } = await demo.exited;
		assert.equal(code, 0, demo.output);
		const answered = demo.lines.findIndex(line => /^GET \/v1\/note\/query answered 200/.test(line));
		assert.deepEqual(
			demo.lines
				.slice(answered + 2)
				.filter(Boolean)
				.map(line => line.split(/ {2,}(?=[a-z]+-\d)/)[0]),
			[
				"GET /v1/note/query",
				"  action 'note.query'",
				"    SELECT notes",
				"    action 'user.mget'",
				"      SELECT users"
			]
		);
	});
});
