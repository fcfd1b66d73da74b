// Goodput of one process under three times the load that it can serve; exits with 1 where a goal is missed.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { spawnNode } from "../../scripts/node-process.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { Client } from "../../test/support/client.ts";

/** A client has gone after this time. */
const PATIENCE_MS = 1000;
const CONNECTIONS = 1000;
const NOTES = 100;
const GOALS = { goodput: 0.8, recoveryMs: 2000 };
const CALM_MS = 100;

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const seconds = values.quick ? 3 : 10;

const env = {
	...{ DATA_DIR: temporaryFolder("overload"), HOST: "127.0.0.1", PORT: "0" },
	// Lists are not remembered, and are long: one client must be able to send three times as many as are served.
	...{ NODE_ENV: "test", TRACE_EXPORTER: "none", CACHE: "off" }
};
await using server = spawnNode({ args: [...RUNNER, "services"], env });
const [, url = ""] = await server.waitForLine(/API Gateway listening on (http:\S+)/);
await server.waitForLine(/started successfully/);
// Each has a core of its own: who sends three times as much must not take the time away from who answers.
for (const [core, pid] of [server.pid, process.pid].entries())
	execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)], { stdio: "ignore" });
const client = new Client(url);
const { token } = await client.newUser();
for (let i = 0; i < NOTES; i++) await client.newNote(token);

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, scheduling: "lifo" });
const { hostname, port } = new URL(url);
const options = {
	agent,
	hostname,
	port,
	path: `/v1/note/query?limit=${NOTES}`,
	headers: { Authorization: `Bearer ${token}` }
};

interface Result {
	status: number;
	milliseconds: number;
}

/** One request; status 0 where it failed or nobody waits for it any more. */
function ask(): Promise<Result> {
	const started = performance.now();
	return new Promise(resolve => {
		const end = (status: number) => resolve({ status, milliseconds: performance.now() - started });
		const sent = request({ ...options, timeout: PATIENCE_MS }, res => {
			res.resume();
			res.once("end", () => end(res.statusCode ?? 0));
			res.once("error", () => end(0));
		});
		sent.once("timeout", () => sent.destroy());
		sent.once("error", () => end(0));
		sent.end();
	});
}

const residentMegabytes = () =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) / 1024;

/** As many requests as `connections` clients get answered who each wait for their answer. */
async function closedLoop(connections: number, time: number): Promise<Result[]> {
	const results: Result[] = [];
	const end = performance.now() + time;
	const loop = async () => {
		while (performance.now() < end) results.push(await ask());
	};
	await Promise.all(Array.from({ length: connections }, loop));
	return results;
}

/** Requests at a rate, whether the ones before were answered or not: as the world outside behaves. */
async function openLoop(rate: number, time: number): Promise<{ results: Result[]; most: number }> {
	const pending: Promise<Result>[] = [];
	const started = performance.now();
	let most = 0;
	for (let now = 0; now < time; now = performance.now() - started) {
		const due = Math.floor((now / 1000) * rate);
		while (pending.length < due) pending.push(ask());
		most = Math.max(most, residentMegabytes());
		await delay(5);
	}
	return { results: await Promise.all(pending), most };
}

function summary(load: string, time: number, results: readonly Result[]) {
	const good = results.filter(({ status, milliseconds }) => status === 200 && milliseconds <= PATIENCE_MS);
	const shed = results.filter(({ status }) => status === 503);
	const perSecond = (some: readonly Result[]) => Math.round((some.length / time) * 1000);
	const quantile = (some: readonly Result[], q: number) => {
		const sorted = some.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
		return Math.round(sorted[Math.floor(sorted.length * q)] ?? 0);
	};
	return {
		load,
		"sent/s": perSecond(results),
		"good/s": perSecond(good),
		"shed/s": perSecond(shed),
		"lost/s": perSecond(results) - perSecond(good) - perSecond(shed),
		"good p50 ms": quantile(good, 0.5),
		"good p99 ms": quantile(good, 0.99),
		"shed p50 ms": quantile(shed, 0.5)
	};
}

await closedLoop(32, 2000); // warms up
const before = residentMegabytes();
const time = seconds * 1000;
const capacity = summary("capacity (32 clients that wait)", time, await closedLoop(32, time));
const { results, most } = await openLoop(3 * capacity["good/s"], time);
const overload = summary("three times that", time, results);

// From the end of the load on: how long until ten answers in a row are quick and right?
const ended = performance.now();
let recoveryMs = Number.POSITIVE_INFINITY;
for (let calm = 0, first = ended; performance.now() - ended < 10_000 && calm < 10; ) {
	const began = performance.now();
	const { status, milliseconds } = await ask();
	const isCalm = status === 200 && milliseconds < CALM_MS;
	if (calm === 0) first = began;
	calm = isCalm ? calm + 1 : 0;
	if (calm === 10) recoveryMs = Math.round(first - ended);
}
agent.destroy();

const goodput = overload["good/s"] / capacity["good/s"];
const table = [capacity, overload];
console.table(table);
const result = {
	goodput: Number(goodput.toFixed(2)),
	recoveryMs,
	residentMegabytes: { before: Math.round(before), most: Math.round(most), after: Math.round(residentMegabytes()) }
};
console.table([{ goodput: result.goodput, recoveryMs, ...result.residentMegabytes }]);
console.log(JSON.stringify({ benchmark: "overload", seconds, table, ...result }));
if (goodput < GOALS.goodput || recoveryMs > GOALS.recoveryMs) process.exitCode = 1;
