import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { startNats } from "../../scripts/servers/nats.ts";
import { quiet } from "../support/app.ts";
import { spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";

/** Runs the check as the container of a service would, and returns how it ended. */
async function check(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
	await using health = spawnNode({ args: ["scripts/health.ts"], env });
	const { code } = await health.exited;
	return { code, output: health.output };
}

/** A node named as in a container, whose service answers as told; stopped at the end of the scope. */
async function startNode(natsUrl: string, ready: () => unknown): Promise<AsyncDisposable & { broker: ServiceBroker }> {
	const transporter = { type: "NATS", options: { url: natsUrl } } as const;
	const broker = new ServiceBroker(quiet({ nodeID: `${hostname()}-note-1`, transporter, namespace: "health" }));
	broker.createService({ name: "note", actions: { ready } });
	await broker.start();
	return { broker, [Symbol.asyncDispose]: () => broker.stop() };
}

describe("The health check of a node without HTTP", await requireServers("nats"), () => {
	it("speaks the protocol version of moleculer", async () => {
		const { PROTOCOL_VERSION } = ServiceBroker;
		assert.equal(PROTOCOL_VERSION, "5", "scripts/health.ts must be changed too");
	});

	it("succeeds when the service of this very node is ready, without joining the mesh", async () => {
		await using nats = await startNats();
		let asked = 0;
		await using node = await startNode(nats.url, () => ++asked > 0);
		const env = { NATS_URL: nats.url, MESH_NAME: "health", SERVICEDIR: "services/note" };
		assert.deepEqual(await check(env), { code: 0, output: "" });
		assert.equal(asked, 1);
		assert.equal(node.broker.registry.nodes.count(), 1);
	});

	it("succeeds for a note node as npm run node starts it", async t => {
		await using nats = await startNats();
		const DATA_DIR = mkdtempSync(join(tmpdir(), "notemesh-health-"));
		t.after(() => rmSync(DATA_DIR, { recursive: true, force: true }));
		const env = { NATS_URL: nats.url, SERVICEDIR: "services/note", NODE_NAME: "note-1", DATA_DIR };
		const runner = ["node_modules/moleculer/bin/moleculer-runner.mjs", "--config", "moleculer.config.ts"];
		await using node = spawnNode({ args: [...runner, "--mask", "**/*.service.ts"], env });
		await node.waitForLine(/started successfully/);
		assert.deepEqual(await check(env), { code: 0, output: "" });
	});

	for (const { how, args, login, sealed } of [
		{
			how: "asks for a user and password",
			args: ["--user", "notemesh", "--pass", "secret"],
			login: "notemesh:secret@"
		},
		{ how: "asks for a token", args: ["--auth", "secret"], login: "secret@" },
		{ how: "carries sealed packets", args: [], login: "", sealed: { MESH_KEYS: `key:${"x".repeat(32)}` } }
	])
		it(`succeeds where NATS ${how}`, async t => {
			await using nats = await startNats({ args });
			const DATA_DIR = mkdtempSync(join(tmpdir(), "notemesh-health-"));
			t.after(() => rmSync(DATA_DIR, { recursive: true, force: true }));
			const NATS_URL = nats.url.replace("//", `//${login}`);
			const env = { NATS_URL, SERVICEDIR: "services/note", NODE_NAME: "note-1", DATA_DIR, ...sealed };
			const runner = ["node_modules/moleculer/bin/moleculer-runner.mjs", "--config", "moleculer.config.ts"];
			await using node = spawnNode({ args: [...runner, "--mask", "**/*.service.ts"], env });
			await node.waitForLine(/started successfully/);
			assert.deepEqual(await check(env), { code: 0, output: "" });
		});

	it("fails with the service's reason when the service is not ready", async () => {
		await using nats = await startNats();
		await using _node = await startNode(nats.url, () => {
			throw new Error("The database does not answer");
		});
		const env = { NATS_URL: nats.url, MESH_NAME: "health", SERVICEDIR: "services/note" };
		assert.deepEqual(await check(env), { code: 1, output: "Not ready: The database does not answer" });
	});

	it("fails when another replica is there, but not this node", async () => {
		await using nats = await startNats();
		await using _node = await startNode(nats.url, () => true);
		const env = { NATS_URL: nats.url, MESH_NAME: "health", SERVICEDIR: "services/note", NODE_NAME: "note-2" };
		const { code, output } = await check(env);
		assert.equal(code, 1);
		assert.match(output, /TIMEOUT/);
	});

	it("fails when NATS is down", async () => {
		const { code, output } = await check({ NATS_URL: "nats://127.0.0.1:1", SERVICEDIR: "services/note" });
		assert.equal(code, 1);
		assert.match(output, /CONNECTION_REFUSED/);
	});
});

describe("The health check of the gateway", () => {
	for (const { status, code } of [
		{ status: 200, code: 0 },
		{ status: 503, code: 1 }
	])
		it(`exits with ${code} when /readyz answers ${status}`, async t => {
			const gateway = createServer((req, res) => {
				res.statusCode = req.url === "/readyz" ? status : 404;
				res.end('{"status":"draining"}');
			});
			await new Promise<void>(resolve => gateway.listen(0, "127.0.0.1", resolve));
			t.after(() => gateway.close());
			const { port } = gateway.address() as AddressInfo;
			const result = await check({ SERVICEDIR: "services/api", PORT: String(port) });
			assert.equal(result.code, code);
			if (code === 1) assert.equal(result.output, 'Not ready: {"status":"draining"}');
		});

	for (const HOST of ["127.0.0.2", "::1", "localhost", "::", "0.0.0.0"])
		it(`asks where the gateway listens: HOST=${HOST}`, async t => {
			const gateway = createServer((_req, res) => res.end());
			await new Promise<void>(resolve => gateway.listen(0, HOST, resolve));
			t.after(() => gateway.close());
			const { port } = gateway.address() as AddressInfo;
			assert.deepEqual(await check({ SERVICEDIR: "services/api", HOST, PORT: String(port) }), { code: 0, output: "" });
		});

	it("exits with 1 when nothing listens", async () => {
		const { code, output } = await check({ SERVICEDIR: "services", PORT: "1" });
		assert.equal(code, 1);
		assert.notEqual(output, "");
	});
});
