import type { ServiceBroker } from "moleculer";
import { QueryTypes, type Sequelize, type Transaction, UniqueConstraintError } from "sequelize";
import { clockOf } from "./database.ts";
import type { Branch } from "./engine.ts";
import { sagaFailure } from "./errors.ts";
import { json } from "./fence.ts";
import { countBarrier } from "./metrics.ts";

/** The part of a context that a branch needs. */
export interface BranchContext {
	/** Of a call that a saga made, it has `saga`. */
	meta: object;
	broker: ServiceBroker;
}

/** The branch that a call belongs to. @throws SAGA_FAILURE where the call does not come from a saga */
export function branchOf({ meta }: Pick<BranchContext, "meta">): Branch {
	const { saga } = meta as { saga?: Branch };
	if (!saga) throw sagaFailure("This action is a saga's branch and cannot be called alone");
	return saga;
}

const DAY_MS = 24 * 3_600_000;
/** How long barrier rows are kept where nothing else was said. */
export const BARRIER_RETENTION_MS = 14 * DAY_MS;

interface Row {
	origin: string;
	result: string | null;
}

/**
 * Runs a branch's work exactly once, whatever arrives twice, late or out of order. It must come first in the
 * transaction that the work is done in: the insert into the barrier table waits for a rival transaction to end, and what
 * was read before would be older than what that rival did.
 *
 * - The same call again answers what the first one did, without doing it again.
 * - A compensation whose action never committed does nothing (a null compensation), and
 * - blocks that action for good, should it still arrive (it would hang: nobody would take it back).
 *
 * The algorithm is dtm's (https://en.dtm.pub/practice/barrier.html), with plain inserts: an INSERT IGNORE of MySQL
 * shortens keys, and its ON DUPLICATE KEY UPDATE cannot tell a new row from an old one here.
 *
 * @param ctx the participant's context; the saga travels in its meta
 * @param transaction of the business rows. The caller runs it again after a deadlock, as duplicates do deadlock
 * @param work what to do once; what it returns must be JSON
 * @param options.site names this call site, where one action has several barriers. Never rename it
 * @param options.retention how long rows are kept, in milliseconds
 * @returns what `work` returned, the first time or now; undefined where a compensation had nothing to do
 * @throws SAGA_FAILURE for an action that was taken back before it came, or without a saga. Any other error, until an
 * operator decides, where the saga is so old that its rows may be gone: what is known of it could be done or undone twice
 */
export async function barrier<T>(
	ctx: BranchContext,
	transaction: Transaction,
	work: () => Promise<T>,
	{ site = "", retention = BARRIER_RETENTION_MS } = {}
): Promise<T | undefined> {
	const { gid, step, op, age = 0 } = branchOf(ctx);
	const table = barrierTable(transaction);
	const key = { gid, step, site };
	const insertAction = async () => {
		const isNew = await table.insert({ ...key, op: "action" }, op);
		if (isNew && age > retention - DAY_MS) throw new Error(`Saga ${gid} is too old: its barrier rows may be gone`);
		return isNew;
	};

	if (op === "compensate" && (await insertAction())) {
		await table.insert({ ...key, op }, op);
		countBarrier(ctx.broker, "null");
		return undefined;
	}
	if (op === "action" ? await insertAction() : await table.insert({ ...key, op }, op)) {
		const result = await work();
		if (result !== undefined && result !== null) await table.remember({ ...key, op }, result);
		return result;
	}
	const { origin, result } = await table.read({ ...key, op });
	if (origin !== op) {
		countBarrier(ctx.broker, "hanging");
		throw sagaFailure("The saga has taken this step back already");
	}
	countBarrier(ctx.broker, "duplicate");
	return result === null ? undefined : JSON.parse(result);
}

interface Key {
	gid: string;
	step: string;
	site: string;
	op: Branch["op"];
}

const IS_KEY = "gid = $gid AND step = $step AND op = $op AND site = $site";

function barrierTable(transaction: Transaction) {
	// Every transaction of Sequelize knows its connection pool; its types do not tell.
	const { sequelize: db } = transaction as Transaction & { sequelize: Sequelize };

	return {
		/** @returns whether the row is new */
		async insert(key: Key, origin: Branch["op"]): Promise<boolean> {
			try {
				await db.query(
					`INSERT INTO saga_barrier (gid, step, op, site, origin, created_at)
					VALUES ($gid, $step, $op, $site, $origin, ${clockOf(db).now})`,
					{ transaction, bind: { ...key, origin } }
				);
				return true;
			} catch (error) {
				if (error instanceof UniqueConstraintError) return false;
				throw error;
			}
		},

		async remember(key: Key, result: unknown): Promise<void> {
			const bind = { ...key, result: json(result) };
			await db.query(`UPDATE saga_barrier SET result = $result WHERE ${IS_KEY}`, { transaction, bind });
		},

		async read(key: Key): Promise<Row> {
			const [row] = await db.query<Row>(`SELECT origin, result FROM saga_barrier WHERE ${IS_KEY}`, {
				transaction,
				bind: { ...key },
				type: QueryTypes.SELECT
			});
			return row as Row;
		}
	};
}

/**
 * Deletes barrier rows older than `age` milliseconds, a batch at a time. They must outlive the longest saga and every
 * message of it: without its row, an action that comes late would run.
 * @returns how many it deleted
 */
export async function purgeBarriers(db: Sequelize, age: number, batch: number): Promise<number> {
	const clock = clockOf(db);
	const rows = await db.query<Omit<Key, "op">>(
		`SELECT DISTINCT gid FROM saga_barrier WHERE created_at < ${clock.after("$age")} LIMIT ${batch}`,
		{ type: QueryTypes.SELECT, bind: { age: -age } }
	);
	for (const { gid } of rows)
		await db.query(`DELETE FROM saga_barrier WHERE gid = $gid AND created_at < ${clock.after("$age")}`, {
			bind: { gid, age: -age }
		});
	return rows.length;
}
