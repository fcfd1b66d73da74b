import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { NodeProcess } from "../../scripts/node-process.ts";
import { TICKS_A_SECOND, ticksOf } from "./machine.ts";

/** What a load came to. */
export interface Figures {
	/** Requests a second. */
	rate: number;
	/** Milliseconds. */
	p50: number;
	p99: number;
	/** CPU time of the system's own processes for one request, in milliseconds. */
	cpu: number;
}

/** What is sent. */
export interface Load {
	url: string;
	/** A file of access tokens, one a line: each request is another user's. */
	tokens: string;
	/** Makes it a POST. */
	body?: string;
	connections: number;
	seconds: number;
}

const SCRIPT = join(import.meta.dirname, "load.lua");

/** Sends requests as fast as they are answered. @throws where one was not answered with 2xx or 3xx */
export async function measure(load: Load, processes: readonly NodeProcess[]): Promise<Figures> {
	const { url, tokens, body, connections, seconds } = load;
	const before = cpuOf(processes);
	const { stdout } = await promisify(execFile)("wrk", [
		"-t1",
		`-c${connections}`,
		`-d${seconds}s`,
		"--timeout",
		"20s",
		"-s",
		SCRIPT,
		url,
		"--",
		tokens,
		...(body ? [body] : [])
	]);
	const used = cpuOf(processes) - before;
	const [requests = 0, microseconds = 1, errors, p50 = 0, p99 = 0] = (/FIGURES ([\d ]+)/.exec(stdout)?.[1] ?? "")
		.split(" ")
		.map(Number);
	if (errors !== 0 || requests === 0) throw new Error(stdout);
	return {
		rate: Math.round((requests / microseconds) * 1e6),
		p50: p50 / 1000,
		p99: p99 / 1000,
		cpu: Number(((used * 1000) / requests).toFixed(4))
	};
}

/** In seconds. */
function cpuOf(processes: readonly NodeProcess[]): number {
	return processes.reduce((sum, { pid }) => sum + ticksOf(pid), 0) / TICKS_A_SECOND;
}
