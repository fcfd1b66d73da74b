import type { Sequelize } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { auditEntryModel } from "../../models/audit-entry.model.ts";
import { auditHeadModel } from "../../models/audit-head.model.ts";
import { migrate } from "../../models/migrator.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { type AuditFilter, auditStore } from "../../services/audit/audit.store.ts";

/** One list on a few rows and on many; medians in milliseconds. */
export interface AuditResult {
	database: string;
	list: string;
	rows: number;
	few_ms: number;
	many_ms: number;
	ratio: number;
}

const FEW = 1_000;
const ROUNDS = 200;
const BATCH = 2_000;
const START = Date.UTC(2026, 0, 1);

const lists: Record<string, Omit<AuditFilter, "limit">> = {
	all: {},
	"one's own": { user_id: 7 },
	"next page of one's own": { user_id: 7, after: { time: START + 500_000, id: 500 } },
	"an action": { action: "action-2" },
	"one's own refusals": { user_id: 7, outcome: "refused" },
	"an object": { object_type: "note", object_id: "7" }
};

/** A log of some length. */
interface Log {
	page(filter: AuditFilter): Promise<unknown>;
	release(): Promise<void>;
}

/** Takes the time of lists on a thousand rows and on `rows`, in turns: what else the machine does slows both down. */
export async function benchAudit(rows: number): Promise<AuditResult[]> {
	const mariadb = await startMariadb({ durable: false });
	const folder = temporaryFolder("audit");
	const places: Record<string, (name: string) => Promise<string> | string> = {
		mariadb: name => mariadb.createDatabase(name),
		sqlite: name => `sqlite:${folder}/${name}.sqlite`
	};
	try {
		const results: AuditResult[] = [];
		for (const [database, urlOf] of Object.entries(places)) {
			const few = await logOf(await urlOf("few"), FEW);
			const many = await logOf(await urlOf("many"), rows);
			// The first time warms up: pages that the filling has left behind are read and written.
			for (const filter of Object.values(lists)) await inTurns(few, many, filter);
			for (const [list, filter] of Object.entries(lists)) {
				const [few_ms, many_ms] = await inTurns(few, many, filter);
				results.push({ database, list, rows, few_ms, many_ms, ratio: rounded(many_ms / few_ms) });
			}
			await Promise.all([few.release(), many.release()]);
		}
		return results;
	} finally {
		await mariadb.stop();
	}
}

async function logOf(url: string, rows: number): Promise<Log> {
	const { sequelize, release } = acquire(url);
	await migrate(sequelize, "audit");
	await fill(sequelize, rows);
	const { page } = auditStore(
		sequelize,
		sequelize.define("auditEntry", columnsOf(auditEntryModel.define), auditEntryModel.options) as never,
		sequelize.define("auditHead", columnsOf(auditHeadModel.define), auditHeadModel.options) as never
	);
	return { page, release };
}

/** Sequelize writes into a definition: each connection needs one of its own. */
function columnsOf(define: object): never {
	const isOptions = (column: object) => "allowNull" in column || "primaryKey" in column;
	const copies = Object.entries(define).map(([name, column]) => [name, isOptions(column) ? { ...column } : column]);
	return Object.fromEntries(copies) as never;
}

/** @returns the medians of both, in milliseconds */
async function inTurns(few: Log, many: Log, filter: Omit<AuditFilter, "limit">): Promise<[number, number]> {
	const times: [number[], number[]] = [[], []];
	for (let round = 0; round < ROUNDS; round++)
		for (const [i, log] of [few, many].entries()) {
			const begun = performance.now();
			await log.page({ ...filter, limit: 21 });
			times[i]?.push(performance.now() - begun);
		}
	const median = (values: number[]) => rounded(values.toSorted((a, b) => a - b)[ROUNDS / 2] as number);
	return [median(times[0]), median(times[1])];
}

const rounded = (value: number) => Math.round(value * 100) / 100;

async function fill(sequelize: Sequelize, rows: number): Promise<void> {
	for (let first = 1; first <= rows; first += BATCH) {
		const numbers = Array.from({ length: Math.min(BATCH, rows - first + 1) }, (_, i) => first + i);
		// Twenty rows at least of everything that is listed, also among the first thousand.
		const values = numbers.map(
			n =>
				`('note', ${n}, ${n}, 'e${n}', ${START + n * 1000}, ${n % 25}, 'action-${n % 5}', 'note', '${n % 25}', '${n % 2 ? "done" : "refused"}', 'r', 't', '{}', 'h')`
		);
		await sequelize.query(
			`INSERT INTO audit_entries (source, position, sequence, event_id, time, user_id, action, object_type, object_id,
				outcome, request_id, trace_id, details, hash) VALUES ${values.join(",")}`
		);
	}
	if (sequelize.getDialect() === "mysql") await sequelize.query("ANALYZE TABLE audit_entries");
}
