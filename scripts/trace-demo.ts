/** `npm run trace:demo`: starts a mesh and a collector, sends one request, and prints the tree of its spans. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalMesh } from "./local-mesh.ts";
import { freePort } from "./servers/free-port.ts";
import { JaegerCollector } from "./tracing/jaeger-collector.ts";
import { printTree } from "./tracing/print-tree.ts";

const NODES = { "user-1": "user", "note-1": "note", "points-1": "points", "api-1": "api" };
/** HTTP, note.create, its five statements, user.mget, its statement. */
const SPANS = 9;
const JSON_TYPE = { "Content-Type": "application/json" };

const dataDir = mkdtempSync(join(tmpdir(), "notemesh-trace-"));
const collector = await new JaegerCollector().start();
const port = await freePort();
console.log("Starting NATS, etcd, MariaDB, Redis, and every service in a process of its own ...");
const mesh = await startLocalMesh({ dataDir, ports: { http: port }, env: { JAEGER_ENDPOINT: collector.endpoint } });
try {
	await Promise.all(Object.entries(NODES).map(([name, service]) => mesh.startNode(service, name)));
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
	const answer = await fetch(`${api}/v1/note`, { method: "POST", headers, body });
	const id = answer.headers.get("X-Request-ID") ?? "";
	const tree = await collector.trace(id, SPANS);
	console.log(`\nPOST /v1/note answered ${answer.status}, X-Request-ID ${id}\n\n${printTree(tree)}\n`);
} finally {
	await mesh.stop();
	await collector.stop();
	rmSync(dataDir, { recursive: true, force: true });
}
