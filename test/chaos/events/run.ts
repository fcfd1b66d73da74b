/**
 * `npm run chaos:events [-- --quick] [--seed=<n>] [--mutations]`: breaks everything between a transaction and its effect
 * elsewhere, and checks that each fact has taken effect once and in order. Exits with 1 where one has not.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Findings, isClean } from "./check.ts";
import { DUPLICATE_WINDOW_S, MUTATIONS, type Mutation, READER_POINTS, WRITER_POINTS } from "./config.ts";
import { World } from "./world.ts";

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		mutations: { type: "boolean", default: false },
		seed: { type: "string", default: "20261121" }
	}
});
const seed = Number(options.seed);
const NAMES = ["writer-1", "writer-2", "reader-1", "reader-2"];

interface Result {
	mutation: Mutation;
	clean: boolean;
	settled: boolean;
	missed: string[];
	findings: Findings;
	faults: World["counts"];
	seconds: number;
}

async function crashes(world: World, quick: boolean): Promise<string[]> {
	const cells = [
		...WRITER_POINTS.map(point => ["writer-1", point] as const),
		...READER_POINTS.map(point => ["reader-1", point] as const)
	];
	const chosen = quick ? cells.filter(([, point]) => ["published", "handled"].includes(point)) : cells;
	const missed: string[] = [];
	for (const [name, point] of chosen) {
		// The relay is where the lease is: the other writer must not have it.
		const relayOnly = ["claimed", "read", "published"].includes(point);
		if (relayOnly) await world.processes.get("writer-2")?.kill();
		if (!(await world.crashAt(name, point))) missed.push(point);
		if (relayOnly) await world.spawn("writer-2");
	}
	return missed;
}

async function randomFaults(world: World, seconds: number): Promise<void> {
	for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
		await delay(250 + 400 * world.random());
		const victim = NAMES[Math.floor(world.random() * NAMES.length)] as string;
		const process = world.processes.get(victim);
		const kind = world.random();
		if (kind < 0.4) {
			await process?.kill();
			world.counts.kills++;
		} else if (kind < 0.8) {
			// Longer than the lease of a relay and the wait for an acknowledgement.
			process?.signal("SIGSTOP");
			await delay(1_200);
			process?.signal("SIGCONT");
			world.counts.pauses++;
		} else if (kind < 0.9) {
			await world.nats.kill();
			await world.nats.start();
			world.counts.kills++;
		} else {
			world.nats.pause();
			await delay(800);
			world.nats.resume();
			world.counts.pauses++;
		}
		await world.revive();
	}
}

/** NATS away for longer than it remembers message ids, while a relay waits for the answer to a batch. */
async function outage(world: World, { wipe }: { wipe: boolean }): Promise<void> {
	world.nats.pause();
	await delay(300);
	await world.nats.kill();
	await delay(DUPLICATE_WINDOW_S * 1000 + 500);
	if (wipe) await world.nats.wipe();
	await world.nats.start();
	world.counts.outages++;
	await world.revive();
	await delay(1_000);
}

async function chaos(mutation: Mutation, quick: boolean): Promise<Result> {
	const begun = performance.now();
	const mark = (phase: string) =>
		console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s ${mutation}: ${phase}`);
	const world = await World.start(seed, mutation);
	try {
		await Promise.all(NAMES.map(name => world.spawn(name)));
		mark("started");
		await world.poison();
		mark("poisoned");
		const missed = await crashes(world, quick);
		mark("crashes");
		await randomFaults(world, quick ? 2 : 20);
		mark("faults");
		if (!quick) await outage(world, { wipe: false });
		await outage(world, { wipe: true });
		mark("outages");
		if (!quick) await randomFaults(world, 10);

		// From here on only the relay works in the writers: nothing new is written.
		for (const name of ["writer-1", "writer-2"]) await world.processes.get(name)?.kill();
		await world.spawn("writer-1", { pause: 3_600_000 });
		for (const name of ["reader-1", "reader-2"]) {
			await world.processes.get(name)?.kill();
			await world.spawn(name, { poison: false });
		}
		world.processes.delete("writer-2");
		mark("ended");
		const settled = await world.settle(mutation === "none" ? 180_000 : 40_000);
		mark("settled");
		const findings = await world.findings();
		const clean = settled && isClean(findings) && missed.length === 0;
		const seconds = Math.round((performance.now() - begun) / 100) / 10;
		return { mutation, clean, settled, missed, findings, faults: world.counts, seconds };
	} finally {
		await world.stop();
	}
}

console.log(`seed ${seed}`);
const results: Result[] = [];
for (const mutation of options.mutations ? (["none", ...MUTATIONS] as const) : (["none"] as const))
	results.push(await chaos(mutation, options.quick));

console.table(
	results.map(({ mutation, clean, settled, missed, findings, faults, seconds }) => ({
		mutation,
		clean,
		settled,
		missed: missed.join(" "),
		facts: findings.facts,
		lost: findings.lost,
		doubled: findings.doubled,
		reordered: findings.reordered,
		different: findings.different.length,
		...faults,
		seconds
	}))
);
const expected = results.every(({ mutation, clean }) => clean === (mutation === "none"));
console.log(JSON.stringify({ seed, ok: expected, results }));
process.exit(expected ? 0 : 1);
