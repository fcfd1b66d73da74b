// What a million notes of others cost one user; see README.md.
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { QueryTypes, type Sequelize } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { type Statements, statements } from "../../mixins/db/prepared.ts";
import { migrate } from "../../models/migrator.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { noteStore } from "../../services/note/note.store.ts";

const { values: options } = parseArgs({
	options: { quick: { type: "boolean", default: false }, save: { type: "boolean", default: false } }
});
const NOTES_EACH = 100;
const FEW_USERS = 10;
const USERS = options.quick ? 1_000 : 10_000;
/** Somebody with more notes than anybody reads. */
const COLLECTOR = USERS + 1;
const COLLECTED = 10_000;
const LIST = { offset: 0, limit: 11 };
const INDEX = "notes_user_id_deleted_at_id";

interface Measured {
	/** Medians, in microseconds. */
	list: number;
	search: number;
}

interface Result {
	dialect: string;
	few: Measured;
	many: Measured;
	growth: { list: number; search: number };
	/** Of somebody with {@link COLLECTED} notes, a search that finds one of them, in microseconds. */
	collectorSearch: number;
	plans: { statement: string; onIndex: boolean; plan: string }[];
}

async function benchScale(dialect: "sqlite" | "mysql", url: string): Promise<Result> {
	const { sequelize, release: close } = acquire(url);
	try {
		await migrate(sequelize, "note");
		await fill(sequelize, 1, FEW_USERS, NOTES_EACH);
		const few = await measure(sequelize);
		await fill(sequelize, FEW_USERS + 1, USERS, NOTES_EACH);
		await fill(sequelize, COLLECTOR, COLLECTOR, COLLECTED);
		if (dialect === "mysql") await sequelize.query("ANALYZE TABLE notes");
		const many = await measure(sequelize);
		const store = noteStore(statements(sequelize));
		const collectorSearch = await median(20, () => store.page(COLLECTOR, "note 4711 ", LIST));
		const growth = { list: ratio(many.list, few.list), search: ratio(many.search, few.search) };
		return { dialect, few, many, growth, collectorSearch, plans: await plansOf(sequelize) };
	} finally {
		await close();
	}
}

/** The notes are written in turn, as users do: those of one user lie far apart. */
async function fill(db: Sequelize, first: number, last: number, each: number): Promise<void> {
	const users = last - first + 1;
	const mysql = db.getDialect() === "mysql";
	const text = mysql ? "CONCAT('Note ', n, ' of somebody')" : "('Note ' || n || ' of somebody')";
	const fill = mysql ? "RPAD(CONCAT('note ', n, ' '), 200, 'lorem ipsum ')" : "('note ' || n || ' ' || :filler)";
	const numbers = mysql
		? `(SELECT seq - 1 AS n FROM seq_1_to_${users * each}) AS numbers`
		: `(WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${users * each - 1})
			SELECT n FROM numbers)`;
	await db.query(
		`INSERT INTO notes (user_id, title, title_folded, content, content_folded, version, created_at, updated_at)
		SELECT ${first} + n % ${users}, ${text}, LOWER(${text}), ${fill}, ${fill}, 1, :now, :now FROM ${numbers}`,
		{ replacements: { now: "2026-01-01 12:00:00.000", filler: "lorem ipsum ".repeat(16) } }
	);
	await db.query("DELETE FROM note_totals");
	await db.query("INSERT INTO note_totals SELECT user_id, COUNT(*) FROM notes GROUP BY user_id");
}

/** The same few users before and after: what differs is what lies around their notes. */
async function measure(db: Sequelize): Promise<Measured> {
	const store = noteStore(statements(db));
	const times = options.quick ? 200 : 1000;
	const user = (i: number) => 1 + (i % FEW_USERS);
	await median(times, i => store.page(user(i), undefined, LIST));
	return {
		list: await median(times, i => store.page(user(i), undefined, LIST)),
		search: await median(times, i => store.page(user(i), "note 95", LIST))
	};
}

async function median(times: number, work: (i: number) => Promise<unknown>): Promise<number> {
	const taken: number[] = [];
	for (let i = 0; i < times; i++) {
		const begun = performance.now();
		await work(i);
		taken.push(performance.now() - begun);
	}
	return Math.round((taken.sort((a, b) => a - b)[Math.floor(times / 2)] as number) * 1000);
}

/** Whether each statement of the store finds its rows by the index on users, or by their keys. */
async function plansOf(db: Sequelize): Promise<Result["plans"]> {
	const seen: { sql: string; values: readonly unknown[] }[] = [];
	const note: Statements["select"] = async (sql, values) => {
		seen.push({ sql, values });
		return [];
	};
	const store = noteStore({ ...statements(db), select: note });
	await store.page(1, undefined, LIST);
	await store.page(1, undefined, { ...LIST, before: 500 });
	await store.page(1, "note 95", LIST);
	await store.page(1, "note 95", { ...LIST, offset: 10 });
	await store.find(1, 1);
	await store.findMany([1, 2, 3]);

	const explain = db.getDialect() === "sqlite" ? "EXPLAIN QUERY PLAN" : "EXPLAIN";
	return Promise.all(
		seen.map(async ({ sql, values }) => {
			const rows = await db.query<Record<string, unknown>>(`${explain} ${sql}`, {
				replacements: [...values],
				type: QueryTypes.SELECT
			});
			const steps = rows.map(row => String(row.detail ?? `${row.table} ${row.type} ${row.key} ${row.Extra}`));
			const isGood = (step: string) => {
				if (/filesort|temporary|TEMP B-TREE/i.test(step)) return false;
				return !/notes/.test(step) || step.includes("PRIMARY") || step.includes(INDEX);
			};
			return { statement: sql.replace(/\s+/g, " "), onIndex: steps.every(isGood), plan: steps.join("; ") };
		})
	);
}

function ratio(a: number, b: number): number {
	return Number((a / b).toFixed(2));
}

const folder = mkdtempSync(join(tmpdir(), "notemesh-scale-"));
const mariadb = await startMariadb({ durable: false });
try {
	const results = [
		await benchScale("mysql", await mariadb.createDatabase("scale")),
		await benchScale("sqlite", `sqlite:${join(folder, "scale.sqlite")}`)
	];
	for (const { dialect, few, many, growth, collectorSearch, plans } of results) {
		console.log(
			`\n${dialect}: ${FEW_USERS * NOTES_EACH} notes, then ${USERS * NOTES_EACH + COLLECTED} (microseconds, medians)`
		);
		console.table({ few, many, growth });
		console.log(`A search in ${COLLECTED} notes of one user: ${collectorSearch} microseconds`);
		console.table(plans.map(({ statement, onIndex, plan }) => ({ statement: statement.slice(-90), onIndex, plan })));
	}
	const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.version}`;
	const report = {
		benchmark: "scale",
		date: new Date().toISOString(),
		quick: options.quick,
		machine,
		index: INDEX,
		results
	};
	if (options.save)
		await writeFile(join(import.meta.dirname, "results.json"), `${JSON.stringify(report, undefined, "\t")}\n`);
	console.log(JSON.stringify(report));
	if (results.some(({ plans }) => plans.some(({ onIndex }) => !onIndex))) process.exitCode = 1;
} finally {
	await mariadb.stop();
	rmSync(folder, { recursive: true, force: true });
}
