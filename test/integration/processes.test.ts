import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isFree } from "../../scripts/servers/free-port.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { type NodeProcess, spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";

const REPOSITORY = new URL("../..", import.meta.url).pathname;

describe("A server's parent", await requireServers("redis"), () => {
	const onlyLinux = { skip: process.platform !== "linux" };
	const waits = "await server.exited;";

	const ends: [situation: string, code: string, end: (parent: NodeProcess) => Promise<unknown>, options?: object][] = [
		["is killed by SIGKILL", waits, parent => parent.kill("SIGKILL"), onlyLinux],
		["is ended by SIGTERM", waits, parent => parent.kill("SIGTERM")],
		["is ended by SIGINT", waits, parent => parent.kill("SIGINT")],
		["throws an uncaught exception", "setImmediate(() => { throw new Error(); });", parent => parent.exited],
		["calls process.exit", "process.exit(3);", parent => parent.exited],
		["has nothing more to do", "", parent => parent.exited]
	];

	for (const [situation, code, end, options = {}] of ends) {
		it(`takes its server along when it ${situation}`, { timeout: 30_000, ...options }, async () => {
			const dataDir = temporaryFolder("redis");
			await using parent = runModule(`
				import { startRedis } from "./scripts/servers/redis.ts";
				const server = await startRedis({ dataDir: "${dataDir}" });
				console.log("port " + server.port);
				${code}
			`);
			const [, port] = await parent.waitForLine(/^port (\d+)$/);
			await end(parent);
			await nobodyListensOn(Number(port));
		});
	}

	it("stops its server in order when it listens to SIGTERM itself", async () => {
		await using parent = runModule(`
			import { startRedis } from "./scripts/servers/redis.ts";
			const server = await startRedis();
			process.on("SIGTERM", () => server.stop());
			console.log("started");
			console.log("redis", JSON.stringify(await server.exited));
		`);
		await parent.waitForLine(/^started$/);
		assert.equal(await parent.stop(), 0);
		assert.equal(parent.lines.at(-1), 'redis {"code":0,"signal":null}');
	});
});

describe("requireServers", () => {
	const code = `
		import { requireServers } from "./test/support/servers.ts";
		console.log(JSON.stringify(await requireServers("redis")));
	`;

	it("skips the suite with the way to get a missing server as the reason", async () => {
		await using node = runModule(code, { PATH: "/nonexistent" });
		const [line] = await node.waitForLine(/^{.*}$/);
		assert.match(JSON.parse(line).skip, /^needs redis-server: apt-get install redis-server/);
	});

	it("fails when a server is missing on CI", async () => {
		await using node = runModule(code, { PATH: "/nonexistent", CI: "true" });
		assert.equal((await node.exited).code, 1);
		assert.match(node.output, /Error: needs redis-server/);
	});
});

describe("A Node process under test", () => {
	it("has its lines found, whether they were printed before or are yet to come", async () => {
		await using node = runModule(`
			console.log("first 1");
			process.on("SIGUSR2", () => console.error("second 2"));
			setInterval(() => {}, 1000);
			console.log("ready");
		`);
		await node.waitForLine(/^ready$/);
		assert.equal((await node.waitForLine(/^first (\d)$/))[1], "1");

		const second = node.waitForLine(/^second (\d)$/);
		node.signal("SIGUSR2");
		assert.equal((await second)[1], "2");
	});

	it("has its output in the error when it ends without the awaited line", async () => {
		await using node = runModule("console.log('not this');");
		await assert.rejects(node.waitForLine(/that/), /ended without a line that matches \/that\/:\nnot this/);
	});

	it("has its output in the error when the awaited line takes too long", async () => {
		await using node = runModule("console.log('not this'); setInterval(() => {}, 1000);");
		await node.waitForLine(/this/);
		await assert.rejects(node.waitForLine(/that/, 10), /No line in 10 ms matched \/that\/:\nnot this/);
	});

	it("has all its output and its exit code when it is gone", async () => {
		await using node = runModule("for (let i = 0; i < 20000; i++) console.log('line', i); process.exitCode = 3;");
		assert.deepEqual(await node.exited, { code: 3, signal: null });
		assert.equal(node.lines.length, 20000);
		assert.equal(node.lines.at(-1), "line 19999");
	});

	it("sees nothing of our environment but PATH and what the test gives it", async () => {
		await using node = runModule("console.log(JSON.stringify(process.env));", { GIVEN: "yes" });
		const [line] = await node.waitForLine(/^{.*}$/);
		assert.deepEqual(JSON.parse(line), { PATH: process.env.PATH, GIVEN: "yes" });
	});

	it("does not keep the process that forgot it alive", async () => {
		await using parent = runModule(`
			import { spawnNode } from "./test/support/processes.ts";
			const child = spawnNode({ args: ["--eval", "console.log('up'); setInterval(() => {}, 1000);"] });
			await child.waitForLine(/up/);
		`);
		assert.equal((await parent.exited).code, 0);
	});
});

function runModule(code: string, env: Record<string, string> = {}): NodeProcess {
	return spawnNode({ args: ["--input-type=module", "--eval", code], env, cwd: REPOSITORY });
}

async function nobodyListensOn(port: number): Promise<void> {
	while (!(await isFree(port))) await delay(20);
}
