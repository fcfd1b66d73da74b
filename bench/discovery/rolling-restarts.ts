// Restarts worker nodes one after the other under a steady load of calls; exits with 1 when a single call failed.
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { BenchCluster, type BenchNode, now } from "./cluster.ts";

const WORKERS = 3;
const RATE = 100;

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const restarts = values.quick ? 10 : 200;

const cluster = await BenchCluster.start("ours");
let failed: number;
let good: number;
try {
	await cluster.grow(WORKERS);
	const caller = await cluster.add("caller", { worker: false, rate: RATE });
	await cluster.allSeen();
	await delay(1000);
	const start = now();

	for (let restart = 0; restart < restarts; restart++) {
		const index = restart % WORKERS;
		const old = cluster.nodes[index] as BenchNode;
		const code = await old.process.stop();
		if (code !== 0) throw new Error(`'${old.nodeID}' stopped with code ${code}`);
		cluster.remove(old);

		const asked = now();
		const fresh = await cluster.add(old.nodeID);
		if (!(await caller.when("joined", old.nodeID, asked, 30_000))) throw new Error(`'${old.nodeID}' did not come back`);
		cluster.remove(fresh);
		cluster.nodes.splice(index, 0, fresh);
	}
	await delay(1000);
	({ failed, good } = caller.calls(start, now()));
} finally {
	await cluster.stop();
}

console.table({ restarts, calls: good + failed, failed });
console.log(JSON.stringify({ benchmark: "rolling-restarts", restarts, calls: good + failed, failed }));
if (failed > 0) process.exitCode = 1;
