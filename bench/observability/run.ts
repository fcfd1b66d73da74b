// What tracing and metrics cost: the same mesh without them, with 1 % of the traces, and with all; see README.md.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { type LocalMesh, RUNNER, startLocalMesh } from "../../scripts/local-mesh.ts";
import { type NodeProcess, spawnNode } from "../../scripts/node-process.ts";
import { freePort } from "../../scripts/servers/free-port.ts";
import { type Sink, startSink } from "./sink.ts";

/** What differs between the meshes that are compared. The first is what the others are compared with. */
const VARIANTS = {
	off: { TRACE_EXPORTER: "none" },
	metrics: { TRACE_EXPORTER: "none" },
	sampled: { JAEGER_SAMPLE_RATE: "0.01" },
	full: { JAEGER_SAMPLE_RATE: "1" }
} as const;
type Variant = keyof typeof VARIANTS;
const NAMES = Object.keys(VARIANTS) as Variant[];

const SERVICES = ["user", "note", "points", "api"];
const CONNECTIONS = 16;
const NOTES = 20;
/** Linux counts CPU time in these. */
const TICKS_A_SECOND = 100;
const READY_TIMEOUT_MS = 60_000;

/** A mesh of one process per service, all by itself. */
interface Subject {
	nodes: NodeProcess[];
	url: string;
	token: string;
}

interface Measurement {
	/** Answers a second. */
	throughput: number;
	/** CPU time of its processes for one request, in milliseconds. */
	cpu: number;
	/** 99th percentile, in milliseconds. */
	p99: number;
}

const { values } = parseArgs({
	options: { quick: { type: "boolean", default: false }, save: { type: "boolean", default: false } }
});
// Many short rounds: on a machine that others use too, only what happens in the same seconds can be compared.
const rounds = values.quick ? 4 : 20;
const seconds = 2;

const dataDir = mkdtempSync(join(tmpdir(), "notemesh-bench-"));
const sink = await startSink();
const mesh = await startLocalMesh({ dataDir, env: { NODE_ENV: "production", LOG_LEVEL: "warn" } });
const subjects = new Map<Variant, Subject>();
try {
	for (const name of NAMES) subjects.set(name, await startSubject(mesh, name, sink));
	// Code is compiled and pools are filled before anything counts.
	for (const name of NAMES) await measure(subjects.get(name) as Subject, 2 * seconds);

	const results: Record<Variant, Measurement>[] = [];
	for (let round = 0; round < rounds; round++) {
		// Each variant comes at each place of a round equally often: the machine is not the same for a minute.
		const order = NAMES.map((_, i) => NAMES[(i + round) % NAMES.length] as Variant);
		const measured = {} as Record<Variant, Measurement>;
		for (const name of order) measured[name] = await measure(subjects.get(name) as Subject, seconds);
		results.push(measured);
		console.error(`round ${round + 1} of ${rounds}: ${NAMES.map(n => `${n} ${measured[n].throughput}/s`).join(", ")}`);
	}

	const table = summary(results);
	console.table(table);
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const report = {
		benchmark: "observability",
		date: new Date().toISOString(),
		quick: values.quick,
		machine,
		rounds,
		seconds,
		connections: CONNECTIONS,
		collectorBytes: sink.bytes,
		summary: table,
		results
	};
	if (values.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
} finally {
	for (const { nodes } of subjects.values()) await Promise.all(nodes.map(node => node.stop()));
	await mesh.stop();
	sink.close();
	rmSync(dataDir, { recursive: true, force: true });
}

async function startSubject(mesh: LocalMesh, name: Variant, sink: Sink): Promise<Subject> {
	const port = await freePort();
	const nodes: NodeProcess[] = [];
	for (const service of SERVICES) {
		const env: Record<string, string> = {
			...mesh.env,
			MESH_NAME: name,
			PORT: String(port),
			JAEGER_ENDPOINT: sink.url,
			SERVICEDIR: `services/${service}`,
			NODE_NAME: `${service}-${name}`,
			// Each answer comes from the database: what is remembered is too cheap to be typical.
			CACHE: "off",
			...(name !== "off" && { METRICS_PORT: String(await freePort()), METRICS_HOST: "127.0.0.1" }),
			...VARIANTS[name]
		};
		nodes.push(spawnNode({ args: RUNNER, env }));
	}
	const url = `http://127.0.0.1:${port}`;
	await untilReady(url);
	return { nodes, url, token: await userWithNotes(url, name) };
}

async function untilReady(url: string): Promise<void> {
	for (const deadline = Date.now() + READY_TIMEOUT_MS; ; await delay(100)) {
		const answer = await fetch(`${url}/readyz`).catch(() => undefined);
		if (answer?.ok) return;
		if (Date.now() > deadline) throw new Error(`${url} did not become ready`);
	}
}

async function userWithNotes(url: string, username: string): Promise<string> {
	let posted = 0;
	const post = async (path: string, body: object, token = "") => {
		const key = { "Idempotency-Key": `${username}-${posted++}` };
		const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}`, ...key };
		let answer: Response;
		// 202: a registration takes longer than a request may. The same key asks for the same one.
		do answer = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
		while (answer.status === 202);
		if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
		return (await answer.json()) as { token: string };
	};
	const credentials = { username, password: "correct horse" };
	await post("/v1/user/register", credentials);
	const { token } = await post("/v1/user/login", credentials);
	for (let i = 0; i < NOTES; i++) await post("/v1/note", { title: `Note ${i}`, content: "x".repeat(200) }, token);
	return token;
}

/** Asks for the notes for some seconds. */
async function measure({ nodes, url, token }: Subject, duration: number): Promise<Measurement> {
	const before = cpuOf(nodes);
	const args = [
		"-t1",
		`-c${CONNECTIONS}`,
		`-d${duration}s`,
		"--timeout",
		"20s",
		"--latency",
		"-H",
		`Authorization: Bearer ${token}`
	];
	const { stdout } = await promisify(execFile)("wrk", [...args, `${url}/v1/note/query`]);
	const used = cpuOf(nodes) - before;
	if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(stdout);
	const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
	const [, p99 = "", unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? [];
	return {
		throughput: Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])),
		cpu: round((used * 1000) / requests, 3),
		p99: round(Number(p99) * (unit === "s" ? 1000 : unit === "us" ? 0.001 : 1), 1)
	};
}

/** CPU time of processes so far, in seconds. */
function cpuOf(nodes: NodeProcess[]): number {
	const ticks = nodes.map(({ pid }) => {
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
			.replace(/^.*\) /s, "")
			.split(" ");
		return Number(fields[11]) + Number(fields[12]);
	});
	return ticks.reduce((sum, value) => sum + value, 0) / TICKS_A_SECOND;
}

/** Medians, and medians of what a round's variant is to the same round's "off": rounds are seconds apart, and comparable. */
function summary(results: Record<Variant, Measurement>[]) {
	return Object.fromEntries(
		NAMES.map(name => {
			const of = (pick: (round: Record<Variant, Measurement>) => number) => median(results.map(pick));
			const throughput = of(r => r[name].throughput / r.off.throughput);
			const cpu = of(r => r[name].cpu / r.off.cpu);
			return [
				name,
				{
					"answers/s": Math.round(of(r => r[name].throughput)),
					"of off": round(throughput, 3),
					"costs %": round((1 - throughput) * 100, 1),
					"CPU ms/request": round(
						of(r => r[name].cpu),
						3
					),
					"CPU, to off": round(cpu, 3),
					"p99 ms": round(
						of(r => r[name].p99),
						1
					)
				}
			];
		})
	);
}

function median(numbers: number[]): number {
	const sorted = numbers.toSorted((a, b) => a - b);
	const middle = Math.floor(sorted.length / 2);
	return sorted.length % 2
		? (sorted[middle] as number)
		: ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

function round(value: number, digits: number): number {
	return Number(value.toFixed(digits));
}
