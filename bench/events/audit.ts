import type { Sequelize } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { auditEntryModel } from "../../models/audit-entry.model.ts";
import { auditHeadModel } from "../../models/audit-head.model.ts";
import { migrate } from "../../models/migrator.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import {
	type AuditEntryTable,
	type AuditFilter,
	type AuditHeadTable,
	auditStore
} from "../../services/audit/audit.store.ts";

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

/** Takes the time of lists on a thousand rows and on `rows`. */
export async function benchAudit(rows: number): Promise<AuditResult[]> {
	const mariadb = await startMariadb({ durable: false });
	try {
		const urls = {
			mariadb: await mariadb.createDatabase("audit"),
			sqlite: `sqlite:${temporaryFolder("audit")}/audit.sqlite`
		};
		const results: AuditResult[] = [];
		for (const [database, url] of Object.entries(urls)) {
			const { sequelize, release } = acquire(url);
			await migrate(sequelize, "audit");
			const store = auditStore(
				sequelize,
				sequelize.define("auditEntry", auditEntryModel.define, auditEntryModel.options) as unknown as AuditEntryTable,
				sequelize.define("auditHead", auditHeadModel.define, auditHeadModel.options) as unknown as AuditHeadTable
			);
			const time = async (filter: Omit<AuditFilter, "limit">) => {
				const times: number[] = [];
				for (let round = 0; round < ROUNDS; round++) {
					const begun = performance.now();
					await store.page({ ...filter, limit: 21 });
					times.push(performance.now() - begun);
				}
				return times.toSorted((a, b) => a - b)[ROUNDS / 2] as number;
			};
			await fill(sequelize, 0, FEW);
			const few = new Map<string, number>();
			// The first time warms up: pages that the filling has left behind are read and written.
			for (const filter of Object.values(lists)) await time(filter);
			for (const [name, filter] of Object.entries(lists)) few.set(name, await time(filter));
			await fill(sequelize, FEW, rows);
			for (const filter of Object.values(lists)) await time(filter);
			for (const [name, filter] of Object.entries(lists)) {
				const [before, after] = [few.get(name) as number, await time(filter)];
				const rounded = (value: number) => Math.round(value * 100) / 100;
				results.push({
					...{ database, list: name, rows, few_ms: rounded(before), many_ms: rounded(after) },
					ratio: rounded(after / before)
				});
			}
			await release();
		}
		return results;
	} finally {
		await mariadb.stop();
	}
}

async function fill(sequelize: Sequelize, from: number, to: number): Promise<void> {
	for (let first = from + 1; first <= to; first += BATCH) {
		const numbers = Array.from({ length: Math.min(BATCH, to - first + 1) }, (_, i) => first + i);
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
