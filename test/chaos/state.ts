import { setTimeout as delay } from "node:timers/promises";
import { QueryTypes, type Sequelize } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { auditEntryModel } from "../../models/audit-entry.model.ts";
import { auditHeadModel } from "../../models/audit-head.model.ts";
import { type AuditEntryTable, type AuditHeadTable, auditStore } from "../../services/audit/audit.store.ts";
import { verdictOf } from "../../services/audit/audit.verify.ts";
import type { AccountRow, FinalState, NoteRow, SeenNote } from "./history.ts";
import type { Load } from "./load.ts";

const SERVICES = ["note", "user", "points", "audit"] as const;
const SETTLE_MS = 40_000;
const LONGEST_SETTLE_MS = 240_000;
const POLL_MS = 200;

type Databases = Record<(typeof SERVICES)[number], Sequelize>;

/**
 * Waits until nothing is under way any more, then looks at everything: the databases, and the notes as the API lists them.
 * What stands still for 40 s without being at rest is told in `unsettled`.
 * @param urlOf the URL of a service's database
 */
export async function settledState(urlOf: (service: string) => string, load: Load): Promise<FinalState> {
	const shares = SERVICES.map(service => [service, acquire(urlOf(service))] as const);
	const databases = Object.fromEntries(shares.map(([service, { sequelize }]) => [service, sequelize])) as Databases;
	try {
		const unsettled = await settle(databases);
		const listed = new Map<string, SeenNote[]>();
		for (const user of load.users) listed.set(user.name, await load.listed(user));
		return {
			notes: await notes(databases.note),
			listed,
			accounts: await accounts(databases),
			audited: await audited(databases.audit),
			brokenChains: await brokenChains(databases.audit),
			miscounted: await miscounted(databases.note),
			unsettled
		};
	} finally {
		await Promise.all(shares.map(([, share]) => share.release()));
	}
}

async function settle(databases: Databases): Promise<string[]> {
	let open: string[] = [];
	// A wiped stream gets all that outboxes keep: that may take long, as long as it goes on.
	const latest = Date.now() + LONGEST_SETTLE_MS;
	for (let end = Date.now() + SETTLE_MS; Date.now() < Math.min(end, latest); await delay(POLL_MS)) {
		const now = await whatIsOpen(databases).catch(error => [`a database does not answer: ${error}`]);
		if (now.join() !== open.join()) end = Date.now() + SETTLE_MS;
		open = now;
		if (open.length === 0) break;
	}
	return open;
}

async function whatIsOpen({ note, user, audit }: Databases): Promise<string[]> {
	const open: string[] = [];
	for (const [source, db] of Object.entries({ note, user })) {
		const [outbox] = await select<{ waiting: number; sent: number }>(
			db,
			"SELECT COUNT(*) - COUNT(published_at) AS waiting, MAX(sequence) AS sent FROM outbox"
		);
		const [log] = await select<{ entries: number }>(
			audit,
			"SELECT COUNT(*) AS entries FROM audit_entries WHERE source = :source",
			{
				source
			}
		);
		const waiting = Number(outbox?.waiting);
		const missing = Number(outbox?.sent) - Number(log?.entries);
		if (waiting > 0) open.push(`${waiting} rows wait in the outbox of ${source}`);
		else if (missing !== 0) open.push(`${missing} facts of ${source} are missing in the audit log`);
	}
	const [sagas] = await select<{ running: number }>(
		user,
		"SELECT COUNT(*) AS running FROM saga WHERE status NOT IN ('succeed', 'failed')"
	);
	if (Number(sagas?.running) > 0) open.push(`${sagas?.running} sagas run`);
	return open;
}

async function notes(db: Sequelize): Promise<NoteRow[]> {
	const rows = await select<NoteRow>(
		db,
		"SELECT id, title AS note, content AS text, version, deleted_at IS NOT NULL AS deleted FROM notes"
	);
	return rows.map(row => ({ ...row, id: Number(row.id), version: Number(row.version), deleted: Boolean(row.deleted) }));
}

async function miscounted(db: Sequelize): Promise<string[]> {
	const rows = await select<{ user_id: number; kept: number; there: number }>(
		db,
		`SELECT user_id, COUNT(*) - COUNT(deleted_at) AS there, COALESCE(MAX(total), 0) AS kept
		FROM notes LEFT JOIN note_totals ON owner_id = user_id GROUP BY user_id HAVING there <> kept`
	);
	return rows.map(({ user_id, kept, there }) => `user ${user_id}: ${there} notes, the number kept is ${kept}`);
}

async function accounts({ user, points }: Databases): Promise<AccountRow[]> {
	const users = await select<{ id: number; username: string; status: string }>(
		user,
		"SELECT id, username, status FROM users"
	);
	const entries = await select<{ user_id: number; kind: string }>(points, "SELECT user_id, kind FROM entries");
	const balances = await select<{ user_id: number; balance: number }>(points, "SELECT user_id, balance FROM accounts");
	const known = new Map(users.map(({ id, username, status }) => [Number(id), { user: username, status }]));
	// Also accounts of nobody: points that were granted for a registration that was taken back.
	const ids = new Set([...known.keys(), ...balances.map(({ user_id }) => Number(user_id))]);
	return [...ids].map(id => {
		const of = (kind: string) => entries.filter(entry => Number(entry.user_id) === id && entry.kind === kind).length;
		const balance = Number(balances.find(({ user_id }) => Number(user_id) === id)?.balance ?? 0);
		return { user: "", status: "ABSENT", ...known.get(id), grants: of("grant") - of("revoke"), balance };
	});
}

async function audited(db: Sequelize): Promise<string[]> {
	const rows = await select<{ action: string; object_id: string }>(
		db,
		"SELECT action, object_id FROM audit_entries WHERE outcome = 'done' AND object_type = 'note'"
	);
	return rows.map(({ action, object_id }) => `${action} ${object_id}`);
}

async function brokenChains(db: Sequelize): Promise<string[]> {
	const entries = db.define(auditEntryModel.name, auditEntryModel.define, auditEntryModel.options);
	const heads = db.define(auditHeadModel.name, auditHeadModel.define, auditHeadModel.options);
	const store = auditStore(db, entries as AuditEntryTable, heads as AuditHeadTable);
	const broken: string[] = [];
	for (const head of await store.heads()) {
		const verdict = await verdictOf(store, head);
		if (verdict.broken) broken.push(`${head.source}: ${JSON.stringify(verdict.broken)}`);
	}
	return broken;
}

function select<Row extends object>(db: Sequelize, sql: string, replacements = {}): Promise<Row[]> {
	return db.query<Row>(sql, { type: QueryTypes.SELECT, replacements });
}
