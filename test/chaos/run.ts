/**
 * `npm run chaos [-- --quick] [--only <fault>] [--seed <n>] [--logs <folder>]`: breaks everything around a running Notemesh while clients
 * use it, and checks that every promise was kept. Exits with 1 where one was not. With `--lossy` the database keeps its
 * commits in memory, so that a run with `mariadb-killed` has to fail.
 */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Drill, drill } from "./drill.ts";
import { Embedded } from "./embedded.ts";
import type { Fault } from "./fault.ts";
import { embeddedFaults, meshFaults } from "./faults.ts";
import { Mesh } from "./mesh.ts";
import type { Platform } from "./platform.ts";

const SHOWN_VIOLATIONS = 10;

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		only: { type: "string", multiple: true },
		seed: { type: "string", default: "20261121" },
		logs: { type: "string" },
		lossy: { type: "boolean", default: false }
	}
});
const seed = Number(options.seed);
const begun = performance.now();
const skipped: string[] = [];

function chosen<P extends Platform>(faults: readonly Fault<P>[]): Fault<P>[] {
	return faults
		.filter(({ name, quick }) => (options.only ? options.only.includes(name) : quick || !options.quick))
		.filter(({ name, whyNot }) => {
			const reason = whyNot?.();
			if (reason) skipped.push(`${name}: ${reason}`);
			return !reason;
		});
}

async function drills<P extends Platform>(start: () => Promise<P>, faults: Fault<P>[]): Promise<Drill[]> {
	const results: Drill[] = [];
	if (faults.length === 0) return results;
	const platform = await start();
	try {
		for (const fault of faults) {
			console.log(`${seconds()} s  ${fault.name}: ${fault.what}, ${fault.seconds} s`);
			const result = await drill(platform, fault, seed);
			for (const { rule, detail } of result.violations.slice(0, SHOWN_VIOLATIONS)) console.log(`  ${rule}: ${detail}`);
			results.push(result);
		}
	} finally {
		await platform.stop();
	}
	return results;
}

async function startMesh(): Promise<Mesh> {
	const mesh = await Mesh.start(options.logs);
	if (options.lossy) await mesh.forgetCommits();
	return mesh;
}

function seconds(): string {
	return ((performance.now() - begun) / 1000).toFixed(0).padStart(3);
}

const [onMesh, onEmbedded] = [chosen(meshFaults), chosen(embeddedFaults)];
if (onMesh.length + onEmbedded.length + skipped.length === 0)
	throw new Error(
		`There is no such fault. There are ${[...meshFaults, ...embeddedFaults].map(({ name }) => name).join(", ")}`
	);

console.log(`seed ${seed}`);
if (options.logs) mkdirSync(options.logs, { recursive: true });
const results = [
	...(await drills(startMesh, onMesh)),
	...(await drills(() => Embedded.start(options.logs), onEmbedded))
];

console.table(
	results.map(({ failed, violations, writtenAfterBegin, writtenAfterEnd, lastFailureAfterEnd, ...row }) => ({
		fault: row.fault,
		"for s": row.seconds,
		writes: row.writes,
		reads: row.reads,
		registered: row.registrations,
		"500s": failed[500],
		"503s": failed[503],
		"504s": failed[504],
		"no answer": failed.none,
		"written after begin, ms": writtenAfterBegin,
		"after end, ms": writtenAfterEnd,
		"last failure after end, ms": lastFailureAfterEnd,
		"slowest, ms": row.slowest,
		violations: violations.length
	}))
);
for (const reason of skipped) console.log(`skipped ${reason}`);
const violations = results.reduce((sum, result) => sum + result.violations.length, 0);
console.log(JSON.stringify({ seed, seconds: Number(seconds()), faults: results.length, violations, skipped, results }));
process.exit(violations === 0 ? 0 : 1);
