// Notemesh beside what a team would pick instead, in interleaved rounds; see README.md.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drawProfiles, monotonicNow } from "../profile/draw.ts";
import { checkAnswers } from "./check.ts";
import { NEW_NOTE, writeTokens } from "./data.ts";
import { compareLatencies, latencyTable } from "./latency.ts";
import { type Figures, measure } from "./load.ts";
import { sendAtRate } from "./open-loop.ts";
import { type Round, ratios, table } from "./summary.ts";
import { type System, startServers, systems } from "./systems.ts";

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		save: { type: "boolean", default: false },
		/** Systems, separated by commas, instead of all. */
		only: { type: "string" },
		/** GET or POST, instead of both. */
		asked: { type: "string" },
		rounds: { type: "string" },
		seconds: { type: "string" },
		/** `--no-latency` leaves out the latencies at half load. */
		latency: { type: "boolean", default: true },
		/** A folder for a CPU profile and a flame graph of each process. */
		profile: { type: "string" }
	},
	allowNegative: true
});
const rounds = Number(options.rounds ?? (options.quick ? 2 : 5));
const seconds = Number(options.seconds ?? (options.quick ? 2 : 4));
const names = options.only?.split(",").map(name => name.trim()) ?? Object.keys(systems);
const kinds = options.asked ? [options.asked] : ["GET", "POST"];
const CONNECTIONS = 32;
const RESULTS = join(import.meta.dirname, "../results.json");

const folder = mkdtempSync(join(tmpdir(), "notemesh-bench-"));
const servers = await startServers();
const running = new Map<string, System>();
/** When the rounds began: profiles are drawn from there. */
let loaded = 0;
try {
	const tokens = await writeTokens(folder);
	for (const name of names) {
		const start = systems[name];
		if (!start) throw new Error(`No system is called "${name}": ${Object.keys(systems).join("; ")}`);
		running.set(name, await start({ servers, folder, nodeArgs: part => profileArguments(name, part) }));
	}
	await checkAnswers(new Map(Array.from(running, ([name, { url }]) => [name, url])), tokens);

	const requestOf = (asked: string, url: string) =>
		asked === "GET"
			? { url: `${url}/v1/note/query`, tokens: tokens.readers }
			: { url: `${url}/v1/note`, tokens: tokens.writers, body: NEW_NOTE };
	const ask = async (asked: string, name: string, duration: number): Promise<Figures> => {
		const { url, processes, settled } = running.get(name) as System;
		const load = { connections: CONNECTIONS, seconds: duration };
		const figures = await measure({ ...requestOf(asked, url), ...load }, processes);
		if (asked !== "GET") await settled();
		return figures;
	};
	// Code is compiled and pools are filled before anything counts.
	for (const name of names) for (const asked of kinds) await ask(asked, name, 2);

	loaded = monotonicNow();
	const results: Round[] = [];
	for (let i = 0; i < rounds; i++) {
		const round: Round = Object.fromEntries(kinds.map(asked => [asked, {}]));
		// Each system comes at each place of a round: the machine is not the same for a minute.
		for (const asked of kinds)
			for (let n = 0; n < names.length; n++) {
				const name = names[(n + i) % names.length] as string;
				(round[asked] as Record<string, Figures>)[name] = await ask(asked, name, seconds);
			}
		results.push(round);
		console.error(`round ${i + 1} of ${rounds} done`);
	}

	const latencies = await compareLatencies(options.latency ? results : [], {
		letOnly,
		async send(asked, name, rate) {
			const { url, settled } = running.get(name) as System;
			const latency = await sendAtRate({ ...requestOf(asked, url), rate, seconds });
			if (asked !== "GET") await settled();
			return latency;
		}
	});

	const summary = { figures: table(results), ratios: ratios(results), latencies };
	console.table(summary.figures);
	console.table(summary.ratios);
	if (latencies.length > 0) console.table(latencyTable(latencies));
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const setting = { rounds, seconds, connections: CONNECTIONS, quick: options.quick };
	const report = { benchmark: "compare", date: new Date().toISOString(), machine, ...setting, ...summary };
	if (options.save) await save(report);
	console.log(JSON.stringify(report));
} finally {
	letOnly([...running.keys()]);
	for (const { processes } of running.values()) await Promise.all(processes.map(process => process.stop()));
	await servers.stop();
	rmSync(folder, { recursive: true, force: true });
}
if (options.profile) console.error((await drawProfiles(options.profile, { from: loaded })).join("\n"));

function profileArguments(name: string, part: string): string[] {
	if (!options.profile) return [];
	const file = `${name}-${part.replace("services/", "")}.cpuprofile`;
	return ["--cpu-prof", `--cpu-prof-dir=${options.profile}`, `--cpu-prof-name=${file}`];
}

function letOnly(allowed: readonly string[]): void {
	for (const [name, { processes }] of running)
		for (const process of processes) process.signal(allowed.includes(name) ? "SIGCONT" : "SIGSTOP");
}

/** Adds a run to the kept results; each kind of request may have a run of its own. */
async function save(report: object): Promise<void> {
	const kept = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, "utf8")) as Record<string, object>) : {};
	await writeFile(RESULTS, `${JSON.stringify({ ...kept, [kinds.join("+")]: report }, undefined, "\t")}\n`);
}
