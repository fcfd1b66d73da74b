// What each process holds under load, and whether it grows: `npm run bench:memory`. With --quick half a minute a system.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { NEW_NOTE, writeTokens } from "../compare/data.ts";
import { measure } from "../compare/load.ts";
import { type System, startServers, systems } from "../compare/systems.ts";

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		save: { type: "boolean", default: false },
		only: { type: "string", default: "one,mesh" },
		/** Seconds of load between two looks. */
		seconds: { type: "string" }
	}
});
const LOOKS = 5;
const CONNECTIONS = 32;
/** What is read and written in one look: as many seconds of each. */
const seconds = Number(options.seconds ?? (options.quick ? 3 : 60));

/** Resident memory of a process, in MB. */
function residentMemory(pid: number | undefined): number {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
}

const folder = mkdtempSync(join(tmpdir(), "notemesh-memory-"));
const servers = await startServers();
const running: System[] = [];
try {
	const tokens = await writeTokens(folder);
	const results: Record<string, number[][]> = {};
	for (const name of options.only.split(",")) {
		const system = await systems[name]?.({ servers, folder, nodeArgs: [] });
		if (!system) throw new Error(`No system is called "${name}"`);
		running.push(system);
		const looks = [system.processes.map(({ pid }) => residentMemory(pid))];
		for (let look = 0; look < LOOKS; look++) {
			const load = { connections: CONNECTIONS, seconds };
			await measure({ url: `${system.url}/v1/note/query`, tokens: tokens.readers, ...load }, system.processes);
			const body = NEW_NOTE;
			await measure({ url: `${system.url}/v1/note`, tokens: tokens.writers, body, ...load }, system.processes);
			await system.settled();
			// Garbage of the load is collected in the idle time after it.
			await delay(1000);
			looks.push(system.processes.map(({ pid }) => residentMemory(pid)));
		}
		results[name] = looks;
		console.log(
			`\n${name}: resident memory in MB, one column a process, before the load and after each ${2 * seconds} s of it`
		);
		console.table(looks);
	}
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const report = {
		benchmark: "memory",
		date: new Date().toISOString(),
		machine,
		seconds,
		quick: options.quick,
		results
	};
	if (options.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
} finally {
	for (const { processes } of running) await Promise.all(processes.map(process => process.stop()));
	await servers.stop();
	rmSync(folder, { recursive: true, force: true });
}
