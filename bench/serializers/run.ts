// moleculer's serializers, on our packets and in our mesh; see README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { spawnNode } from "../../scripts/node-process.ts";
import { NEW_NOTE, writeTokens } from "../compare/data.ts";
import { type Figures, measure } from "../compare/load.ts";
import { spreadOf } from "../compare/summary.ts";
import { MESH, notemesh, type System, startServers } from "../compare/systems.ts";
import { SERIALIZERS } from "./names.ts";
import { recordPackets } from "./packets.ts";

const { values: options } = parseArgs({
	options: { quick: { type: "boolean", default: false }, save: { type: "boolean", default: false } }
});
const rounds = options.quick ? 2 : 5;
const seconds = options.quick ? 2 : 4;
const CONNECTIONS = 32;
const HERE = import.meta.dirname;
/** moleculer looks here for the packages of serializers, which the project itself does not need. */
const NODE_PATH = join(HERE, "../peers/node_modules");

interface Row {
	asked: string;
	serializer: string;
	"requests/s": number;
	spread: string;
	/** Within a round, to JSON. */
	"to JSON": string;
	"CPU ms/request": number;
}

const folder = mkdtempSync(join(tmpdir(), "notemesh-serializers-"));
// Each has databases of its own, or one mesh's relay would publish for all.
const servers = await startServers(SERIALIZERS.map(databaseOf));
const running = new Map<string, System>();
try {
	const tokens = await writeTokens(folder);
	const runner = RUNNER.map(word => (word === "moleculer.config.ts" ? join(HERE, word) : word));
	for (const name of SERIALIZERS) {
		const env = { CACHE: "off", MESH_NAME: meshOf(name), SERIALIZER: name, NODE_PATH };
		const system = await notemesh({ servers, folder, nodeArgs: () => [], runner }, databaseOf(name), MESH, env);
		running.set(name, system);
	}
	const packets = join(folder, "packets.json");
	await writeFile(
		packets,
		JSON.stringify(await recordPackets(servers.nats.url, meshOf("JSON"), running.get("JSON") as System, tokens))
	);
	const micro = spawnNode({ args: [join(HERE, "micro.ts"), packets], env: { NODE_PATH } });
	if ((await micro.exited).code !== 0) throw new Error(micro.output);
	const costs: object[] = JSON.parse(micro.lines.at(-1) as string);
	console.table(costs);

	const ask = async (asked: string, { url, processes, settled }: System): Promise<Figures> => {
		const load = { connections: CONNECTIONS, seconds };
		const notes = `${url}/v1/note`;
		if (asked === "GET") return measure({ url: `${notes}/query`, tokens: tokens.readers, ...load }, processes);
		const figures = await measure({ url: notes, tokens: tokens.writers, body: NEW_NOTE, ...load }, processes);
		await settled();
		return figures;
	};
	const taken: Record<string, Record<string, Figures[]>> = { GET: {}, POST: {} };
	for (let round = 0; round <= rounds; round++)
		for (const [asked, each] of Object.entries(taken))
			for (let n = 0; n < SERIALIZERS.length; n++) {
				const name = SERIALIZERS[(n + round) % SERIALIZERS.length] as string;
				const figures = await ask(asked, running.get(name) as System);
				// The first round warms up.
				if (round > 0) each[name] = [...(each[name] ?? []), figures];
			}

	const table = Object.entries(taken).flatMap(([asked, each]) => SERIALIZERS.map(name => rowOf(asked, name, each)));
	console.table(table);
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const setting = { rounds, seconds, connections: CONNECTIONS, quick: options.quick };
	const report = { benchmark: "serializers", date: new Date().toISOString(), machine, ...setting, costs, table };
	if (options.save) await writeFile(join(HERE, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
} finally {
	for (const { processes } of running.values()) await Promise.all(processes.map(process => process.stop()));
	await servers.stop();
	rmSync(folder, { recursive: true, force: true });
}

function databaseOf(serializer: string): string {
	return serializer.toLowerCase();
}

/** Nodes that understand each other. */
function meshOf(serializer: string): string {
	return `serializer-${serializer.toLowerCase()}`;
}

function rowOf(asked: string, name: string, each: Record<string, Figures[]>): Row {
	const own = each[name] as Figures[];
	const rate = spreadOf(
		own.map(figures => figures.rate),
		0
	);
	const ratio = spreadOf(own.map((figures, round) => figures.rate / (each.JSON?.[round]?.rate as number)));
	const cpu = spreadOf(
		own.map(figures => figures.cpu),
		3
	);
	return {
		asked,
		serializer: name,
		"requests/s": rate.median,
		spread: `${rate.least}-${rate.most}`,
		"to JSON": `${ratio.median} (${ratio.least}-${ratio.most})`,
		"CPU ms/request": cpu.median
	};
}
