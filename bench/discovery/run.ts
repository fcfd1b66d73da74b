// Compares discovery through moleculer's Local and Etcd3 discoverers and through our registry; see README.md.
import { readFile, writeFile } from "node:fs/promises";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Kind } from "./node.ts";
import { rollingRestarts } from "./rolling-restarts.ts";
import {
	type CrashResult,
	crash,
	type MembershipResult,
	membership,
	type OutageResult,
	outages,
	type Scale,
	type Times
} from "./scenarios.ts";

const KINDS: Kind[] = ["local", "etcd3", "ours"];
const FULL: Scale = {
	sizes: [3, 10, 30],
	joins: 3,
	crashes: 2,
	ownCrashes: 6,
	idle: 20,
	etcdDown: [20, 90],
	etcdFrozen: 40,
	natsDown: 10
};
const QUICK: Scale = {
	sizes: [3],
	joins: 2,
	crashes: 0,
	ownCrashes: 1,
	idle: 0,
	etcdDown: [8],
	etcdFrozen: 12,
	natsDown: 3
};
const RESULTS = join(import.meta.dirname, "results.json");

interface KindResult extends MembershipResult {
	/** When and where it was measured. */
	date: string;
	machine: string;
	crash?: CrashResult;
	outages: Record<string, OutageResult>;
}
type Results = Partial<Record<Kind, KindResult>>;

const { values } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		only: { type: "string" },
		restarts: { type: "string" },
		save: { type: "boolean", default: false }
	}
});
const scale = values.quick ? QUICK : FULL;
const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
// One kind at a time can be measured, and saved beside the others.
const results: Results = values.save && values.only ? JSON.parse(await readFile(RESULTS, "utf8")).results : {};

if (values.restarts) await restartNotes(Number(values.restarts));
else await compare();

async function compare(): Promise<void> {
	for (const kind of KINDS) {
		if (values.only && values.only !== kind) continue;
		console.error(`${kind}: join, leave, idle`);
		const members = await membership(kind, scale);
		console.error(`${kind}: crash`);
		const crashed = await crash(kind, scale);
		console.error(`${kind}: outages`);
		const date = new Date().toISOString();
		results[kind] = {
			date,
			machine,
			...members,
			...(crashed && { crash: crashed }),
			outages: await outages(kind, scale)
		};
	}

	console.table(table(results));
	const report = { benchmark: "discovery", quick: values.quick, results };
	if (values.save) await writeFile(RESULTS, `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
}

/** Fails when a single call did, or an acknowledged note is missing. */
async function restartNotes(restarts: number): Promise<void> {
	const result = await rollingRestarts(restarts);
	console.table({ ...result, errors: JSON.stringify(result.errors) });
	const report = { benchmark: "rolling-restarts", date: new Date().toISOString(), machine, ...result };
	if (values.save)
		await writeFile(join(import.meta.dirname, "results-restarts.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
	if (result.failed > 0 || result.kept < result.written) process.exitCode = 1;
}

/** One row per figure, one column per kind. */
function table(all: Results): Record<string, Record<string, string>> {
	const rows: Record<string, Record<string, string>> = {};
	for (const [kind, result] of Object.entries(all)) {
		const set = (row: string, value: string | number) => {
			rows[row] = { ...rows[row], [kind]: String(value) };
		};
		for (const [size, join] of Object.entries(result.join)) set(`join, ${size} nodes (ms)`, range(join));
		for (const [size, leave] of Object.entries(result.leave)) set(`leave, ${size} nodes (ms)`, range(leave));
		set("failed calls at all joins and leaves", result.leaveFailed);
		if (result.crash) {
			set("kill -9 seen through membership (ms)", range(result.crash.membership));
			set("kill -9, caller steered away (ms)", range(result.crash.steered));
			set("failed calls per kill, no retry", result.crash.failedWithoutRetry.join(", "));
			set("failed calls per kill, retry", result.crash.failedWithRetry.join(", "));
		}
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
