import {
	type Model,
	type ModelStatic,
	Op,
	type Sequelize,
	type Transaction,
	UniqueConstraintError,
	type WhereOptions
} from "sequelize";
import { statements } from "../../mixins/db.mixin.ts";
import type { AuditEntryCreation, AuditEntryRow } from "../../models/audit-entry.model.ts";
import type { AuditHeadRow } from "../../models/audit-head.model.ts";
import { appended, type ChainedEntry, type ChainedFact, type ChainHead, GENESIS, type Place } from "./audit.domain.ts";

/** The tables; rows are read `raw`, so they are plain objects. */
export type AuditEntryTable = ModelStatic<Model<AuditEntryRow, AuditEntryCreation> & AuditEntryRow>;
export type AuditHeadTable = ModelStatic<Model<AuditHeadRow, AuditHeadRow> & AuditHeadRow>;
export type AuditStore = ReturnType<typeof auditStore>;

/** Which entries a list holds. Times in milliseconds since the epoch. */
export interface AuditFilter {
	user_id?: number | undefined;
	action?: string | undefined;
	object_type?: string | undefined;
	object_id?: string | undefined;
	outcome?: string | undefined;
	from?: number | undefined;
	to?: number | undefined;
	/** Entries after this place only. */
	after?: Place | undefined;
	limit: number;
}

/** A source has used a number twice: its outbox was lost or copied. No retry makes it right. */
class SequenceReusedError extends Error {
	readonly type = "AUDIT_SEQUENCE_REUSED";
	readonly retryable = false;
}

/** Among so many last facts of a source without numbers a repeated one is found. */
const REPEATED_WITHIN = 1_000;

/** The log: entries are appended, never changed, never deleted. */
export function auditStore(db: Sequelize, entries: AuditEntryTable, heads: AuditHeadTable) {
	const { select, write, insert } = statements(db);
	// SQLite has locked the whole file by then.
	const locked = db.getDialect() === "mysql" ? "FOR UPDATE" : "";

	const headOf = async (source: string, transaction: Transaction): Promise<ChainHead> => {
		const sql = `SELECT position, hash, max_sequence FROM audit_heads WHERE source = ? ${locked}`;
		const find = async () => (await select<AuditHeadRow>(sql, [source], transaction))[0];
		const row = await find();
		if (row) return head(row);
		try {
			await heads.create({ source, ...GENESIS }, { transaction });
			return GENESIS;
		} catch (error) {
			// Another node has begun the chain in between.
			const begun = error instanceof UniqueConstraintError && (await find());
			if (!begun) throw error;
			return head(begun);
		}
	};

	/** Writes facts at the end of their chain, under the lock of its head. */
	const add = async (last: ChainHead, facts: readonly ChainedFact[], transaction: Transaction): Promise<void> => {
		const [first] = facts;
		if (!first) return;
		let next = last;
		const written = facts.map(fact => {
			next = appended(next, fact);
			const { position, hash } = next;
			const { source, sequence, event_id, time, user_id, action, object_type, object_id, outcome } = fact;
			const { error, request_id, trace_id, details } = fact;
			return insert(
				`INSERT INTO audit_entries (source, position, sequence, event_id, time, user_id, action, object_type, object_id,
					outcome, error, request_id, trace_id, details, hash)`,
				"(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
				[
					source,
					position,
					sequence,
					event_id,
					time,
					user_id,
					action,
					object_type,
					object_id,
					outcome,
					error,
					request_id,
					trace_id,
					details,
					hash
				],
				transaction
			);
		});
		await Promise.all(written);
		await write(
			"UPDATE audit_heads SET position = ?, hash = ?, max_sequence = ? WHERE source = ?",
			[next.position, next.hash, next.max_sequence, first.source],
			transaction
		);
	};

	/** The id of the fact that has a number already. */
	const eventAt = async (source: string, sequence: number, transaction: Transaction): Promise<string | undefined> => {
		const sql = "SELECT event_id FROM audit_entries WHERE source = ? AND sequence = ?";
		const [known] = await select<AuditEntryRow>(sql, [source, sequence], transaction);
		return known?.event_id;
	};

	/** @returns those of a source's facts that are new */
	const appendTo = async (source: string, facts: readonly ChainedFact[], transaction: Transaction) => {
		// The head's lock comes first: after it, nobody else appends to this chain.
		const last = await headOf(source, transaction);
		const fresh = new Map<number, ChainedFact>();
		for (const fact of facts) {
			const { sequence, event_id } = fact;
			const isBeyond = sequence > last.max_sequence;
			const known =
				fresh.get(sequence)?.event_id ?? (isBeyond ? undefined : await eventAt(source, sequence, transaction));
			if (known === undefined) fresh.set(sequence, fact);
			else if (known !== event_id)
				throw new SequenceReusedError(`Source ${source} has used sequence ${sequence} twice`);
		}
		await add(last, [...fresh.values()], transaction);
		return [...fresh.values()];
	};

	return {
		/**
		 * Appends facts to the chains of their sources, in the order in which they are given.
		 * @returns for each, false where it is there already
		 */
		async append(facts: readonly ChainedFact[], transaction: Transaction): Promise<boolean[]> {
			const fresh = new Set<ChainedFact>();
			// Always in one order: two transactions that lock several heads must not wait for each other.
			for (const [source, own] of [...Map.groupBy(facts, fact => fact.source)].sort(bySource))
				for (const fact of await appendTo(source, own, transaction)) fresh.add(fact);
			return facts.map(fact => fresh.has(fact));
		},

		/**
		 * Appends a fact of a source that does not number its facts: it gets the next number.
		 * @returns false where it is among the last ones already
		 */
		async appendNext(fact: ChainedFact, transaction: Transaction): Promise<boolean> {
			const { source, event_id } = fact;
			const last = await headOf(source, transaction);
			const where = { source, event_id, sequence: { [Op.gt]: last.max_sequence - REPEATED_WITHIN } };
			if (await entries.findOne({ attributes: ["id"], where, transaction, raw: true })) return false;
			await add(last, [{ ...fact, sequence: last.max_sequence + 1 }], transaction);
			return true;
		},

		/** Entries, the newest first. */
		async page({ from, to, after, limit, ...equal }: AuditFilter): Promise<ChainedEntry[]> {
			const wanted = Object.fromEntries(Object.entries(equal).filter(([, value]) => value !== undefined));
			const conditions: WhereOptions[] = [wanted];
			if (from !== undefined) conditions.push({ time: { [Op.gte]: from } });
			if (to !== undefined) conditions.push({ time: { [Op.lt]: to } });
			if (after)
				conditions.push(
					{ time: { [Op.lte]: after.time } },
					{ [Op.or]: [{ time: { [Op.lt]: after.time } }, { id: { [Op.lt]: after.id } }] }
				);
			const order: [string, string][] = [
				["time", "DESC"],
				["id", "DESC"]
			];
			const rows = await entries.findAll({ where: { [Op.and]: conditions }, order, limit, raw: true });
			return rows.map(entry);
		},

		/** Entries of a chain from a place on, in its order. */
		async chain(source: string, position: number, limit: number): Promise<ChainedEntry[]> {
			const where = { source, position: { [Op.gte]: position } };
			const rows = await entries.findAll({ where, order: ["position"], limit, raw: true });
			return rows.map(entry);
		},

		/** The ends of all chains. */
		async heads(): Promise<(ChainHead & { source: string })[]> {
			const rows = await heads.findAll({ order: ["source"], raw: true });
			return rows.map(row => ({ source: row.source, ...head(row) }));
		},

		/** The last entry of a chain, also one that its head does not know. */
		async last(source: string): Promise<ChainedEntry | undefined> {
			const row = await entries.findOne({ where: { source }, order: [["position", "DESC"]], raw: true });
			return row ? entry(row) : undefined;
		},

		/** All sources that have entries. */
		async sources(): Promise<string[]> {
			const rows = await select<{ source: string }>("SELECT DISTINCT source FROM audit_entries ORDER BY source", []);
			return rows.map(({ source }) => source);
		},

		/** The least sequence number that is missing before a greater one, null where none is. */
		async firstMissing(source: string): Promise<number | null> {
			const [row] = await select<{ missing: number | null }>(
				`SELECT MIN(previous.sequence) + 1 AS missing FROM
					(SELECT 0 AS sequence UNION ALL SELECT sequence FROM audit_entries WHERE source = ?) AS previous
				WHERE previous.sequence < (SELECT MAX(sequence) FROM audit_entries WHERE source = ?)
					AND NOT EXISTS (SELECT 1 FROM audit_entries AS next
						WHERE next.source = ? AND next.sequence = previous.sequence + 1)`,
				[source, source, source]
			);
			return row?.missing ? Number(row.missing) : null;
		}
	};
}

function bySource([a]: [string, unknown], [b]: [string, unknown]): number {
	return a < b ? -1 : 1;
}

function head({ position, hash, max_sequence }: AuditHeadRow): ChainHead {
	return { position: Number(position), hash, max_sequence: Number(max_sequence) };
}

/** A driver may give a BIGINT as text. */
function entry(row: AuditEntryRow): ChainedEntry {
	const { id, position, sequence, time, user_id } = row;
	return {
		...row,
		id: Number(id),
		position: Number(position),
		sequence: Number(sequence),
		time: Number(time),
		user_id: user_id === null ? null : Number(user_id)
	};
}
