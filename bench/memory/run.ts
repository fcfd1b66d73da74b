// What each process holds under load, and what grows in it; see README.md.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { NEW_NOTE, type Tokens, writeTokens } from "../compare/data.ts";
import { sendAtRate } from "../compare/open-loop.ts";
import { type System, startServers, systems } from "../compare/systems.ts";
import { growth, type Heap, heapArguments, heapOf, megabytes } from "./heap.ts";

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		save: { type: "boolean", default: false },
		/** Systems of bench/compare, separated by commas; they are loaded at the same time. */
		only: { type: "string", default: "one,mesh" },
		minutes: { type: "string" },
		/** `--no-heaps` looks at no heap, which itself takes memory, and so leaves the resident memory as the load makes it. */
		heaps: { type: "boolean", default: true },
		/** Requests a second to each of them, two thirds of them reads. */
		rate: { type: "string", default: "300" }
	},
	allowNegative: true
});
const minutes = Number(options.minutes ?? (options.quick ? 3 : 10));
const seconds = options.quick ? 10 : 60;
const rate = Number(options.rate);
/** The first look at the heap: caches are filled, code is compiled. */
const FIRST_LOOK = 2;
const SHOWN_KINDS = 12;
/** Garbage of the load is collected, and what waits is published, in the idle time after it. */
const IDLE_MS = 2000;

/** What became of a process. */
interface Course {
	process: string;
	/** Resident memory in MB: before the load, then after each minute. */
	resident: number[];
	/** What was alive after the second minute and at the end, in MB. */
	alive?: [number, number];
	growth?: ReturnType<typeof growth>;
}

/** Resident memory of a process, in MB. */
function residentMemory(pid: number | undefined): number {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
}

async function loadAMinute({ url, settled }: System, tokens: Tokens): Promise<void> {
	const notes = `${url}/v1/note`;
	await Promise.all([
		sendAtRate({ url: `${notes}/query`, tokens: tokens.readers, rate: (rate * 2) / 3, seconds }),
		sendAtRate({ url: notes, tokens: tokens.writers, body: NEW_NOTE, rate: rate / 3, seconds })
	]);
	await settled();
	await delay(IDLE_MS);
}

async function watch(name: string, system: System, tokens: Tokens, heaps: string): Promise<Course[]> {
	const look = async (): Promise<Heap[]> =>
		options.heaps ? Promise.all(system.processes.map(process => heapOf(process, heaps))) : [];
	const resident = [system.processes.map(({ pid }) => residentMemory(pid))];
	let first: Heap[] = [];
	for (let minute = 1; minute <= minutes; minute++) {
		await loadAMinute(system, tokens);
		resident.push(system.processes.map(({ pid }) => residentMemory(pid)));
		if (minute === FIRST_LOOK) first = await look();
	}
	const last = await look();
	return system.parts.map((part, i) => {
		const [before, after] = [first[i], last[i]] as [Heap?, Heap?];
		return {
			process: `${name}: ${part}`,
			resident: resident.map(each => each[i] as number),
			...(before &&
				after && { alive: [megabytes(before), megabytes(after)], growth: growth(before, after, SHOWN_KINDS) })
		};
	});
}

const folder = mkdtempSync(join(tmpdir(), "notemesh-memory-"));
const heaps = join(folder, "heaps");
mkdirSync(heaps);
const servers = await startServers();
const running = new Map<string, System>();
try {
	const tokens = await writeTokens(folder);
	for (const name of options.only.split(",")) {
		const system = await systems[name]?.({ servers, folder, nodeArgs: () => heapArguments(heaps) });
		if (!system) throw new Error(`No system is called "${name}"`);
		running.set(name, system);
	}
	const courses = (
		await Promise.all(Array.from(running, ([name, system]) => watch(name, system, tokens, heaps)))
	).flat();
	console.table(
		courses.map(({ process, resident, alive }) => ({
			process,
			"MB before": resident[0],
			"MB half way": resident[Math.ceil(minutes / 2)],
			"MB at the end": resident.at(-1),
			...(alive && { [`alive MB, minute ${FIRST_LOOK}`]: alive[0], "alive MB at the end": alive[1] })
		}))
	);
	for (const { process, growth } of courses) {
		if (!growth) continue;
		console.log(`\n${process}: what became more from minute ${FIRST_LOOK} to minute ${minutes}`);
		console.table(growth);
	}
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const setting = { minutes, seconds, rate, quick: options.quick };
	const report = { benchmark: "memory", date: new Date().toISOString(), machine, ...setting, courses };
	if (options.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
} finally {
	for (const { processes } of running.values()) await Promise.all(processes.map(process => process.stop()));
	await servers.stop();
	rmSync(folder, { recursive: true, force: true });
}
