// Throughput by the number of note nodes; see README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeTokens } from "../compare/data.ts";
import { measure } from "../compare/load.ts";
import { sendAtRate } from "../compare/open-loop.ts";
import { spreadOf } from "../compare/summary.ts";
import { MESH, notemesh, type System, startServers } from "../compare/systems.ts";
import { NODE_RATE } from "./stub.ts";

const { values: options } = parseArgs({
	options: { quick: { type: "boolean", default: false }, save: { type: "boolean", default: false } }
});
const rounds = options.quick ? 1 : 3;
const seconds = options.quick ? 2 : 4;
/** The share of what the nodes can do at which latencies are taken. */
const CALM = 0.7;
const STUB = "bench/nodes";

interface Shape {
	store: string;
	/** The folder of the note service. */
	service: string;
	counts: number[];
	/** How many wait for an answer each, so that all nodes are busy. */
	clients(nodes: number): number;
	/** Lists a second that a node can answer at most, where that is known. */
	nodeRate?: number;
}

interface Row {
	store: string;
	nodes: number;
	"requests/s": number;
	spread: string;
	"to one node": number;
	/** Of what the nodes could do. */
	"share %"?: number;
	[latency: string]: string | number | undefined;
}

const shapes: Shape[] = [
	{
		store: "stub",
		service: STUB,
		counts: options.quick ? [1, 3] : [1, 2, 3, 5, 7, 10],
		clients: nodes => 8 * nodes,
		nodeRate: NODE_RATE
	},
	{ store: "MariaDB, same cores", service: "services/note", counts: [1, 2], clients: () => 32 }
];

const folder = mkdtempSync(join(tmpdir(), "notemesh-nodes-"));
const servers = await startServers();
try {
	const tokens = await writeTokens(folder);
	const table: Row[] = [];
	for (const shape of shapes)
		for (const nodes of shape.counts) table.push(await measureNodes(shape, nodes, tokens.readers));
	for (const row of table) {
		const [one] = table.filter(({ store }) => store === row.store) as [Row];
		row["to one node"] = Number((row["requests/s"] / one["requests/s"]).toFixed(2));
	}
	console.table(table);
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const setting = { rounds, seconds, quick: options.quick };
	const report = { benchmark: "nodes", date: new Date().toISOString(), machine, ...setting, table };
	if (options.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
} finally {
	await servers.stop();
	rmSync(folder, { recursive: true, force: true });
}

async function measureNodes({ store, service, clients, nodeRate }: Shape, nodes: number, tokens: string): Promise<Row> {
	const parts = MESH.flatMap(part => (part === "services/note" ? Array<string>(nodes).fill(service) : [part]));
	const context = { servers, folder, nodeArgs: () => [] };
	const system = await notemesh(context, "mesh", parts, {
		CACHE: "off",
		MESH_NAME: `nodes-${service.length}-${nodes}`
	});
	try {
		const url = `${system.url}/v1/note/query`;
		const saturate = (time: number) =>
			measure({ url, tokens, connections: clients(nodes), seconds: time }, system.processes);
		// The gateway is ready with the first note node: the others join, and code is compiled, until it grows no more.
		for (let rate = 0, before = -1; rate > before * 1.05; ) {
			before = rate;
			rate = (await saturate(2)).rate;
		}
		const rates: number[] = [];
		for (let round = 0; round < rounds; round++) rates.push((await saturate(seconds)).rate);
		const rate = spreadOf(rates, 0);
		const row = { store, nodes, "requests/s": rate.median, spread: `${rate.least}-${rate.most}`, "to one node": 1 };
		if (!nodeRate) return row;
		const { p50, p99 } = await sendAtRate({ url, tokens, rate: nodes * nodeRate * CALM, seconds });
		return {
			...row,
			"share %": Math.round((rate.median / (nodes * nodeRate)) * 100),
			[`p50 ms at ${CALM * 100} %`]: Math.round(p50),
			[`p99 ms at ${CALM * 100} %`]: Math.round(p99)
		};
	} finally {
		await stop(system);
	}
}

async function stop({ processes }: System): Promise<void> {
	await Promise.all(processes.map(process => process.stop()));
}
