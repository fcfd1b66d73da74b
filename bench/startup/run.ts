// How long it takes until a process serves; see README.md. Exits with 1 where a goal is missed.
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { RUNNER, startLocalMesh } from "../../scripts/local-mesh.ts";
import { type NodeProcess, spawnNode } from "../../scripts/node-process.ts";
import { freePort } from "../../scripts/servers/free-port.ts";
import { spreadOf } from "../compare/summary.ts";
import { untilReady } from "../compare/systems.ts";

const { values: options } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		save: { type: "boolean", default: false },
		times: { type: "string" }
	}
});
const times = Number(options.times ?? (options.quick ? 3 : 15));
const POLL_MS = 5;
const STARTED = /ServiceBroker with \d+ service\(s\) started successfully/;
/** Milliseconds from the start of the process. */
const GOALS = { embedded: 1500, node: 1000 };

interface Start {
	what: string;
	goal: number;
	/** Starts a process and waits until it serves. */
	run(): Promise<NodeProcess>;
}

const folder = mkdtempSync(join(tmpdir(), "notemesh-startup-"));
const port = await freePort();
const meshPort = await freePort();
const mesh = await startLocalMesh({ dataDir: join(folder, "mesh"), ports: { http: meshPort } });
try {
	const first = { NODE_DISABLE_COMPILE_CACHE: "1" };
	const cases = [
		...embedded("", {}),
		...nodes("", {}),
		...embedded(", nothing compiled", first),
		...nodes(", nothing compiled", first)
	];
	for (const service of ["user", "points", "audit", "letter"]) await mesh.startNode(service, service);
	// The gateway is ready when all it needs is: another note node and another gateway than those measured.
	await mesh.startNode("note", "note");

	const taken = new Map<Start, number[]>(cases.map(start => [start, []]));
	// The first time of each fills the caches: of the disk, and of compiled code. Cases take turns.
	for (let time = 0; time <= times; time++)
		for (const start of cases) {
			const began = performance.now();
			const process = await start.run();
			if (time > 0) taken.get(start)?.push(performance.now() - began);
			await process.stop();
		}

	const table = Array.from(taken, ([{ what, goal }, each]) => ({ what, goal, ...spreadOf(each, 0) }));
	console.table(table);
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const report = { benchmark: "startup", date: new Date().toISOString(), machine, times, quick: options.quick, table };
	if (options.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
	if (table.some(({ median, goal }) => median > goal)) process.exitCode = 1;
} finally {
	await mesh.stop();
	rmSync(folder, { recursive: true, force: true });
}

function embedded(how: string, more: Record<string, string>): Start[] {
	const env = { PORT: String(port), HOST: "127.0.0.1", LOG_LEVEL: "warn", ...more };
	const url = `http://127.0.0.1:${port}`;
	const start = async (dataDir: string, args: string[]) => {
		const node = spawnNode({ args, env: { ...env, DATA_DIR: dataDir } });
		await untilReady(url, POLL_MS);
		return node;
	};
	const known = join(folder, "known");
	const npm = process.env.npm_execpath;
	const commands: Start[] = [
		{
			what: `embedded: npm start${how}`,
			goal: GOALS.embedded,
			run: () => start(known, [npm as string, "start", "--silent"])
		},
		{ what: `embedded: node${how}`, goal: GOALS.embedded, run: () => start(known, [...RUNNER, "services"]) },
		{
			what: `embedded: node, a new database${how}`,
			goal: GOALS.embedded,
			run: () => start(mkdtempSync(join(folder, "new-")), [...RUNNER, "services"])
		}
	];
	// npm tells where it is: `npm run bench:startup`.
	return npm ? commands : commands.slice(1);
}

function nodes(how: string, more: Record<string, string>): Start[] {
	const run = (service: string, env: Record<string, string> = {}) =>
		spawnNode({
			args: RUNNER,
			env: { ...mesh.env, ...more, ...env, SERVICEDIR: `services/${service}`, NODE_NAME: `${service}-measured` }
		});
	return [
		{
			what: `mesh: note${how}`,
			goal: GOALS.node,
			async run() {
				const node = run("note");
				await node.waitForLine(STARTED);
				return node;
			}
		},
		{
			what: `mesh: api${how}`,
			goal: GOALS.node,
			async run() {
				const node = run("api");
				await untilReady(`http://127.0.0.1:${meshPort}`, POLL_MS);
				return node;
			}
		}
	];
}
