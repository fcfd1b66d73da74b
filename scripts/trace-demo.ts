/** `npm run trace:demo`: starts a mesh and a collector, asks for a user's notes, and prints the tree of that request's spans. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalMesh } from "./local-mesh.ts";
import { freePort } from "./servers/free-port.ts";
import { JaegerCollector } from "./tracing/jaeger-collector.ts";
import { printTree } from "./tracing/print-tree.ts";

const NODES = { "note-1": "note", "user-1": "user", "points-1": "points", "api-1": "api" };
/** HTTP, note.query, its statement, user.mget, its statement. */
const SPANS = 5;
const JSON_TYPE = { "Content-Type": "application/json" };

const dataDir = mkdtempSync(join(tmpdir(), "notemesh-trace-"));
const collector = await new JaegerCollector().start();
const port = await freePort();
console.log("Starting NATS, etcd, MariaDB, Redis, and a node each for note, user, points and api ...");
const mesh = await startLocalMesh({ dataDir, ports: { http: port }, env: { JAEGER_ENDPOINT: collector.endpoint } });
try {
	const [writer] = await Promise.all(Object.entries(NODES).map(([name, service]) => mesh.startNode(service, name)));
	await mesh.ready();

	const api = `http://127.0.0.1:${port}`;
	const credentials = JSON.stringify({ username: "demo", password: "correct horse" });
	// 202: it takes longer than a request may. The same key asks for the same registration.
	const registration = {
		method: "POST",
		headers: { ...JSON_TYPE, "Idempotency-Key": "trace-demo" },
		body: credentials
	};
	while ((await fetch(`${api}/v1/user/register`, registration)).status === 202);
	const login = await fetch(`${api}/v1/user/login`, { method: "POST", headers: JSON_TYPE, body: credentials });
	const { token } = (await login.json()) as { token: string };
	const headers = { ...JSON_TYPE, Authorization: `Bearer ${token}` };
	const body = JSON.stringify({ title: "A title", content: "Some content" });
	await fetch(`${api}/v1/note`, { method: "POST", headers, body });

	// The node that has written the note knows its author's name. One that is new asks the user service.
	await mesh.startNode("note", "note-2");
	await writer?.stop();
	await mesh.ready();
	const answer = await fetch(`${api}/v1/note/query`, { headers });
	const id = answer.headers.get("X-Request-ID") ?? "";
	const tree = await collector.trace(id, SPANS);
	console.log(`\nGET /v1/note/query answered ${answer.status}, X-Request-ID ${id}\n\n${printTree(tree)}\n`);
} finally {
	await mesh.stop();
	await collector.stop();
	rmSync(dataDir, { recursive: true, force: true });
}
