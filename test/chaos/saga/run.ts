/** `npm run chaos:saga`: the crash matrix. See the README in this folder. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { type MariadbServer, startMariadb } from "../../../scripts/servers/mariadb.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { type Cell, cells, pauseCells } from "./cells.ts";
import { type CellReport, Matrix } from "./matrix.ts";
import { type Mutation, mutations } from "./mutations.ts";

const { values } = parseArgs({
	options: {
		pause: { type: "string", default: "1" },
		rounds: { type: "string", default: "1" },
		seed: { type: "string", default: "1" },
		quick: { type: "boolean", default: false },
		mutations: { type: "boolean", default: false },
		mutation: { type: "string" },
		group: { type: "string" },
		only: { type: "string" }
	}
});
const seed = Number(values.seed);

/** A pseudo-random order that the seed decides (mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
function shuffled<T>(items: readonly T[]): T[] {
	let state = seed;
	const random = () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
	return items
		.map(item => ({ item, key: random() }))
		.sort((a, b) => a.key - b.key)
		.map(({ item }) => item);
}

let runs = 0;
async function runMatrix(
	chosen: readonly Cell[],
	{ nats, mariadb, mutation }: { nats: string; mariadb: MariadbServer | null; mutation?: Mutation | undefined }
): Promise<CellReport[]> {
	const name = `chaos_${++runs}`;
	const file = (part: string) => `sqlite:${join(temporaryFolder("chaos"), `${part}.sqlite`)}`;
	const [owner, other] = mariadb
		? await Promise.all(["owner", "other"].map(part => mariadb.createDatabase(`${name}_${part}`)))
		: ["owner", "other"].map(file);
	const matrix = new Matrix({ nats, mutation, urls: { owner: owner as string, other: other as string } });
	await matrix.start();
	try {
		return await matrix.run(shuffled(chosen));
	} finally {
		await matrix.stop();
	}
}

function table(title: string, reports: readonly CellReport[], seconds: number): number {
	const groups = Object.groupBy(reports, ({ cell }) => cell.group);
	console.log(`\n${title}  (${reports.length} cells, ${seconds.toFixed(1)} s)`);
	for (const [group, members = []] of Object.entries(groups)) {
		const bad = members.filter(({ violations }) => violations.length > 0).length;
		console.log(
			`  ${group.padEnd(14)} ${String(members.length).padStart(4)} cells  ${bad === 0 ? "ok" : `${bad} VIOLATED`}`
		);
	}
	const violated = reports.filter(({ violations }) => violations.length > 0);
	for (const { cell, gid, violations } of violated)
		console.log(`    ${cell.group}: ${cell.name} [${gid}]: ${violations.join("; ")}`);
	return violated.length;
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
	const begin = performance.now();
	return [await work(), (performance.now() - begin) / 1000];
}

const isChosen = ({ group, name }: Cell) =>
	(!values.group || group === values.group) && (!values.only || name.includes(values.only));
const pauses = Array.from({ length: Number(values.pause) - 1 }, () => pauseCells).flat();
const chosen = [...cells, ...pauses].filter(isChosen);

console.log(`Seed ${seed}; again with: npm run chaos:saga -- --seed ${seed}`);
const nats = await startNats();
const mariadb = await startMariadb({ durable: false, args: ["--max-connections=1000"] });
const summary: Record<string, unknown> = { seed };
let exitCode = 0;
try {
	if (values.mutations || values.mutation) {
		const seen: Record<string, number> = {};
		for (const mutation of Object.keys(mutations) as Mutation[]) {
			if (values.mutation && values.mutation !== mutation) continue;
			const [reports, seconds] = await timed(() => runMatrix(chosen, { nats: nats.url, mariadb, mutation }));
			seen[mutation] = table(`Seeded bug ${mutation}: ${mutations[mutation]}`, reports, seconds);
			if (seen[mutation] === 0) exitCode = 1;
		}
		summary.violationsOfSeededBugs = seen;
	} else {
		let violations = 0;
		for (let round = 0; round < Number(values.rounds); round++) {
			const [reports, seconds] = await timed(() => runMatrix(chosen, { nats: nats.url, mariadb }));
			violations += table("On MariaDB", reports, seconds);
			for (const { dump, gid } of reports) if (dump) console.log(gid, JSON.stringify(dump, null, 1));
		}
		const local = chosen.filter(({ group }) => group === "happy" || group === "rollback");
		if (!values.quick && local.length > 0) {
			const [reports, seconds] = await timed(() => runMatrix(local, { nats: nats.url, mariadb: null }));
			violations += table("On SQLite", reports, seconds);
			for (const { dump, gid } of reports) if (dump) console.log(gid, JSON.stringify(dump, null, 1));
		}
		Object.assign(summary, { cells: chosen.length, rounds: Number(values.rounds), violations });
		if (violations > 0) exitCode = 1;
	}
} finally {
	await Promise.all([nats.stop(), mariadb.stop()]);
}
console.log(JSON.stringify(summary));
process.exit(exitCode);
