// Balancing strategies with one slow node of three: latency and throughput of calls, and who got them.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ServiceBroker } from "moleculer";
import { type NodeProcess, spawnNode } from "../../scripts/node-process.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { type Registry, registryOptions, strategies } from "./registry.ts";

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const SECONDS = values.quick ? 2 : 6;
const RATE = 150;
const USERS = 100;
const NORMAL = { wait: 4, burn: 0.5 };

/** What is wrong with one node of three. */
const faults = {
	"none is slow": NORMAL,
	"one waits 50 ms (a slow disk)": { wait: 50, burn: 0.5 },
	"one burns 25 ms a call (a slow processor)": { wait: 4, burn: 25 }
};

interface Outcome {
	fault: string;
	strategy: string;
	calls: number;
	failed: number;
	"p50 ms": number;
	"p99 ms": number;
	"to the slow one %": number;
}

let meshes = 0;

async function measure(
	servers: { nats: string; etcd: string },
	fault: keyof typeof faults,
	strategy: Registry["strategy"]
): Promise<Outcome> {
	const registry: Registry = { ...servers, strategy, namespace: `balancing-${++meshes}` };
	const ids = ["one", "two", "slow"];
	const workers: NodeProcess[] = ids.map(nodeID => {
		const options = { ...registry, nodeID, ...(nodeID === "slow" ? faults[fault] : NORMAL) };
		return spawnNode({ args: [join(import.meta.dirname, "worker.ts"), JSON.stringify(options)] });
	});
	const caller = new ServiceBroker({ nodeID: "caller", logger: false, ...registryOptions(registry) });
	try {
		await Promise.all([caller.start(), ...workers.map(worker => worker.waitForLine(/^started$/))]);
		while (caller.registry.actions.get("worker.work")?.count() !== ids.length) await delay(20);
		await load(caller, 2); // strategies that measure have measured
		const { times, nodes, failed } = await load(caller, SECONDS);
		times.sort((a, b) => a - b);
		const quantile = (q: number) => Number((times[Math.floor(times.length * q)] ?? 0).toFixed(1));
		return {
			fault,
			strategy,
			calls: times.length,
			failed,
			"p50 ms": quantile(0.5),
			"p99 ms": quantile(0.99),
			"to the slow one %": Math.round(((nodes.get("slow") ?? 0) / times.length) * 100)
		};
	} finally {
		await Promise.all([caller.stop(), ...workers.map(worker => worker.kill())]);
	}
}

/** Calls at a rate, whether the ones before were answered or not. */
async function load(caller: ServiceBroker, seconds: number) {
	const times: number[] = [];
	const nodes = new Map<string, number>();
	let failed = 0;
	const one = async (user: number) => {
		const started = performance.now();
		try {
			const node = await caller.call<string, object>("worker.work", { user: `user-${user}` });
			nodes.set(node, (nodes.get(node) ?? 0) + 1);
			times.push(performance.now() - started);
		} catch {
			failed++;
		}
	};
	const calls: Promise<void>[] = [];
	const started = performance.now();
	for (let now = 0; now < seconds; now = (performance.now() - started) / 1000) {
		while (calls.length < now * RATE) calls.push(one(calls.length % USERS));
		await delay(2);
	}
	await Promise.all(calls);
	return { times, nodes, failed };
}

const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
const table: Outcome[] = [];
try {
	for (const fault of Object.keys(faults) as (keyof typeof faults)[])
		for (const strategy of Object.keys(strategies) as Registry["strategy"][])
			table.push(await measure({ nats: nats.url, etcd: etcd.url }, fault, strategy));
} finally {
	await Promise.all([nats.stop(), etcd.stop()]);
}
console.table(table);
console.log(JSON.stringify({ benchmark: "balancing", rate: RATE, seconds: SECONDS, table }));
