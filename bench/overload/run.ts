// Goodput of one process under three times the load that it can serve; exits with 1 where a goal is missed.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { cpus } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { spawnNode } from "../../scripts/node-process.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { Client } from "../../test/support/client.ts";
import { NEW_NOTE } from "../compare/data.ts";
import { overloadOnMariadb } from "./shared.ts";

/** A client has gone after this time. */
const PATIENCE_MS = 1000;
const CONNECTIONS = 1000;
const NOTES = 100;
const GOALS = { goodput: 0.8, recoveryMs: 2000 };
const CALM_MS = 100;

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const seconds = values.quick ? 3 : 10;

const env = {
	DATA_DIR: temporaryFolder("overload"),
	HOST: "127.0.0.1",
	PORT: "0",
	// Lists are not remembered, and are long: one client must be able to send three times as many as are served.
	NODE_ENV: "test",
	TRACE_EXPORTER: "none",
	CACHE: "off"
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
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };

/** What is asked for. */
interface Asked {
	method: string;
	path: string;
	body?: string;
	/** Status of success. */
	good: number;
}

const kinds: Record<string, Asked> = {
	lists: { method: "GET", path: `/v1/note/query?limit=${NOTES}`, good: 200 },
	"new notes": { method: "POST", path: "/v1/note", body: NEW_NOTE, good: 201 }
};

interface Result {
	status: number;
	milliseconds: number;
}

/** One request; status 0 where it failed or nobody waits for it any more. */
function ask({ method, path, body }: Asked): Promise<Result> {
	const started = performance.now();
	return new Promise(resolve => {
		const end = (status: number) => resolve({ status, milliseconds: performance.now() - started });
		const sent = request({ agent, hostname, port, headers, method, path, timeout: PATIENCE_MS }, res => {
			res.resume();
			res.once("end", () => end(res.statusCode ?? 0));
			res.once("error", () => end(0));
		});
		sent.once("timeout", () => sent.destroy());
		sent.once("error", () => end(0));
		sent.end(body);
	});
}

const residentMegabytes = () =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) / 1024;

/** As many requests as `connections` clients get answered who each wait for their answer. */
async function closedLoop(asked: Asked, connections: number, time: number): Promise<Result[]> {
	const results: Result[] = [];
	const end = performance.now() + time;
	const loop = async () => {
		while (performance.now() < end) results.push(await ask(asked));
	};
	await Promise.all(Array.from({ length: connections }, loop));
	return results;
}

/** Requests at a rate, whether the ones before were answered or not: as the world outside behaves. */
async function openLoop(asked: Asked, rate: number, time: number): Promise<{ results: Result[]; most: number }> {
	const pending: Promise<Result>[] = [];
	const started = performance.now();
	let most = 0;
	for (let now = 0; now < time; now = performance.now() - started) {
		const due = Math.floor((now / 1000) * rate);
		while (pending.length < due) pending.push(ask(asked));
		most = Math.max(most, residentMegabytes());
		await delay(5);
	}
	return { results: await Promise.all(pending), most };
}

function summary(load: string, { good: status }: Asked, time: number, results: readonly Result[]) {
	const good = results.filter(result => result.status === status && result.milliseconds <= PATIENCE_MS);
	const shed = results.filter(result => result.status === 503);
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

/** From the end of a load on: how long until ten answers in a row are quick and right? In milliseconds. */
async function recovery(asked: Asked): Promise<number> {
	const ended = performance.now();
	for (let calm = 0, first = ended; performance.now() - ended < 10_000; ) {
		const began = performance.now();
		const { status, milliseconds } = await ask(asked);
		if (calm === 0) first = began;
		calm = status === asked.good && milliseconds < CALM_MS ? calm + 1 : 0;
		if (calm === 10) return Math.round(first - ended);
	}
	return Number.POSITIVE_INFINITY;
}

const time = seconds * 1000;
const table = [];
const results = [];
for (const [kind, asked] of Object.entries(kinds)) {
	await closedLoop(asked, 32, 2000); // warms up
	const before = residentMegabytes();
	const capacity = summary(`${kind}: capacity (32 clients that wait)`, asked, time, await closedLoop(asked, 32, time));
	const { results: answers, most } = await openLoop(asked, 3 * capacity["good/s"], time);
	const overload = summary(`${kind}: three times that`, asked, time, answers);
	table.push(capacity, overload);
	results.push({
		kind,
		goodput: Number((overload["good/s"] / capacity["good/s"]).toFixed(2)),
		recoveryMs: await recovery(asked),
		beforeMB: Math.round(before),
		mostMB: Math.round(most),
		afterMB: Math.round(residentMegabytes())
	});
}
agent.destroy();
await server.stop();
execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", `0-${cpus().length - 1}`, String(process.pid)], {
	stdio: "ignore"
});
console.table(table);
console.table(results);
const onMariadb = await overloadOnMariadb(seconds);
console.table(onMariadb);
console.log(JSON.stringify({ benchmark: "overload", seconds, table, results, onMariadb }));
if (results.some(({ goodput, recoveryMs }) => goodput < GOALS.goodput || recoveryMs > GOALS.recoveryMs))
	process.exitCode = 1;
