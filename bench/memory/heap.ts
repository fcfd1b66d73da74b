import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { NodeProcess } from "../../scripts/node-process.ts";

/** What is alive of one kind of object. */
export interface Kind {
	count: number;
	/** Without what it refers to. */
	bytes: number;
}

/** By the name of the constructor; what has none by what it is for V8: `(string)`, `(code)`, `(closure)`. */
export type Heap = Map<string, Kind>;

/** The parts of V8's format that are needed. */
interface Snapshot {
	snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } };
	nodes: number[];
	strings: string[];
}

const POLL_MS = 100;
const TIMEOUT_MS = 60_000;
/** Kinds of nodes whose name is the constructor's. */
const NAMED = new Set(["object", "native"]);

/** Arguments of Node for a process whose heap shall be looked at. */
export function heapArguments(folder: string): string[] {
	return ["--heapsnapshot-signal=SIGUSR2", `--diagnostic-dir=${folder}`];
}

/**
 * What is alive in a process that was started with {@link heapArguments}: V8 collects all garbage before it looks.
 * The process stands still meanwhile, for about a second.
 * @throws Error where it has not written its snapshot within a minute
 */
export async function heapOf(process: NodeProcess, folder: string): Promise<Heap> {
	const written = () => readdirSync(folder).filter(name => name.includes(`.${process.pid}.`));
	for (const name of written()) rmSync(join(folder, name));
	process.signal("SIGUSR2");
	for (const deadline = Date.now() + TIMEOUT_MS; ; await delay(POLL_MS)) {
		const [name] = written();
		const heap = name && existsSync(join(folder, name)) ? parse(readFileSync(join(folder, name), "utf8")) : undefined;
		if (heap) return heap;
		if (Date.now() > deadline) throw new Error(`Process ${process.pid} has not written a heap snapshot`);
	}
}

/** @returns undefined for a file that is not complete yet */
function parse(text: string): Heap | undefined {
	if (!text.trimEnd().endsWith("}")) return undefined;
	return summarize(JSON.parse(text) as Snapshot);
}

function summarize({ snapshot, nodes, strings }: Snapshot): Heap {
	const { node_fields: fields, node_types: types } = snapshot.meta;
	const [type, name, size] = ["type", "name", "self_size"].map(field => fields.indexOf(field)) as [
		number,
		number,
		number
	];
	const heap: Heap = new Map();
	for (let i = 0; i < nodes.length; i += fields.length) {
		const what = types[0][nodes[i + type] as number] as string;
		const key = NAMED.has(what) ? (strings[nodes[i + name] as number] as string) : `(${what})`;
		const kind = heap.get(key);
		const bytes = nodes[i + size] as number;
		if (kind) {
			kind.count++;
			kind.bytes += bytes;
		} else heap.set(key, { count: 1, bytes });
	}
	return heap;
}

/** What has become more, most bytes first. */
export function growth(before: Heap, after: Heap, most: number) {
	return Array.from(after, ([name, { count, bytes }]) => {
		const was = before.get(name) ?? { count: 0, bytes: 0 };
		return { name, count, "more of them": count - was.count, "more kB": Math.round((bytes - was.bytes) / 1000) };
	})
		.filter(kind => kind["more kB"] > 0)
		.sort((a, b) => b["more kB"] - a["more kB"])
		.slice(0, most);
}

/** Of all that is alive, in MB. */
export function megabytes(heap: Heap): number {
	return Number((heap.values().reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1));
}
