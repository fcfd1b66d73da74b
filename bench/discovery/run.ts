// Compares discovery through moleculer's Local and Etcd3 discoverers and through our registry; see README.md.
import { writeFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Kind } from "./node.ts";
import {
	type CrashResult,
	crash,
	type MembershipResult,
	membership,
	outages,
	type Scale,
	type Times
} from "./scenarios.ts";

const KINDS: Kind[] = ["local", "etcd3", "ours"];
const FULL: Scale = {
	sizes: [3, 10, 30],
	joins: 3,
	crashes: 2,
	idle: 20,
	etcdDown: [20, 90],
	etcdFrozen: 40,
	natsDown: 10
};
const QUICK: Scale = { sizes: [3, 10], joins: 2, crashes: 1, idle: 6, etcdDown: [8], etcdFrozen: 12, natsDown: 3 };

interface KindResult extends MembershipResult {
	crash: CrashResult;
	outages: Awaited<ReturnType<typeof outages>>;
}

const { values } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		only: { type: "string" },
		save: { type: "boolean", default: false }
	}
});
const scale = values.quick ? QUICK : FULL;
const results: Partial<Record<Kind, KindResult>> = {};

for (const kind of KINDS) {
	if (values.only && values.only !== kind) continue;
	console.error(`${kind}: join, leave, idle`);
	const members = await membership(kind, scale);
	console.error(`${kind}: crash`);
	const crashed = await crash(kind, scale);
	console.error(`${kind}: outages`);
	results[kind] = { ...members, crash: crashed, outages: await outages(kind, scale) };
}

console.table(table(results));
const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
const report = { benchmark: "discovery", date: new Date().toISOString(), quick: values.quick, machine, results };
if (values.save) {
	await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
}
console.log(JSON.stringify(report));

/** One row per figure, one column per kind. */
function table(all: Partial<Record<Kind, KindResult>>): Record<string, Record<string, string>> {
	const rows: Record<string, Record<string, string>> = {};
	for (const [kind, result] of Object.entries(all)) {
		const set = (row: string, value: string | number) => {
			rows[row] = { ...rows[row], [kind]: String(value) };
		};
		for (const [size, join] of Object.entries(result.join)) set(`join, ${size} nodes (ms)`, range(join));
		for (const [size, leave] of Object.entries(result.leave)) set(`leave, ${size} nodes (ms)`, range(leave));
		set("failed calls at all joins and leaves", result.leaveFailed);
		set("kill -9 seen through membership (ms)", range(result.crash.membership));
		set("kill -9, caller steered away (ms)", range(result.crash.steered));
		set("failed calls per kill, no retry", result.crash.failedWithoutRetry.join(", "));
		set("failed calls per kill, retry", result.crash.failedWithRetry.join(", "));
		for (const [name, value] of Object.entries(result.idle)) set(`idle, 10 nodes: ${name}/s`, value);
		for (const [name, { good, failed, longestGap, evictions }] of Object.entries(result.outages)) {
			set(
				`${name}: failed calls`,
				`${failed} of ${good + failed}, longest gap ${longestGap} ms, ${evictions} removals`
			);
		}
	}
	return rows;
}

function range({ median, min, max }: Times): string {
	return `${median} (${min}-${max})`;
}
