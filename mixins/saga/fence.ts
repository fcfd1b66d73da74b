import { QueryTypes, type Transaction } from "sequelize";
import { clockOf, type Database } from "./database.ts";
import { Fenced } from "./errors.ts";
import type { Reason, SagaState } from "./state.ts";

type Bind = Record<string, unknown>;

/** Something for the timeline. */
export interface Note {
	kind: string;
	step?: string;
	/** The owner where not given. */
	actor?: string;
	detail?: Reason | null;
}

/** The writes that every other write to the saga tables is made of. */
export function fence({ db }: Pick<Database, "db">) {
	const clock = clockOf(db);

	/** Runs a statement. @returns how many rows it found */
	function change(sql: string, bind: Bind, transaction?: Transaction): Promise<number> {
		const options = { type: QueryTypes.BULKUPDATE, bind, transaction };
		return db.query(sql, options) as Promise<unknown> as Promise<number>;
	}

	/** Runs a statement that changes exactly one row. @throws Fenced where it finds none */
	async function fenced(gid: string, sql: string, bind: Bind, transaction?: Transaction): Promise<void> {
		if ((await change(sql, { gid, ...bind }, transaction)) !== 1) throw new Fenced(gid);
	}

	/** Changes the saga's row as its owner, which locks it until the transaction ends. @param set more SQL to set */
	function touch(saga: SagaState, transaction: Transaction | undefined, set = "", bind: Bind = {}): Promise<void> {
		return fenced(
			saga.gid,
			`UPDATE saga SET updated_at = ${clock.now}${set} WHERE gid = $gid AND epoch = $epoch AND status = $from`,
			{ epoch: saga.epoch, from: saga.status, ...bind },
			transaction
		);
	}

	/** Adds to the timeline, in a transaction that has touched the saga. */
	async function note(saga: SagaState, { kind, step, actor, detail }: Note, transaction: Transaction): Promise<void> {
		const { gid, epoch, owner } = saga;
		await db.query(
			`INSERT INTO saga_event (gid, seq, at, kind, step, epoch, actor, detail)
			SELECT $gid, COALESCE(MAX(seq), 0) + 1, ${clock.now}, $kind, $step, $epoch, $actor, $detail
			FROM saga_event WHERE gid = $gid`,
			{ transaction, bind: { gid, epoch, kind, step: step ?? null, actor: actor ?? owner, detail: json(detail) } }
		);
	}

	return { clock, change, fenced, touch, note };
}

/** The stored form of a value; nothing is NULL. */
export function json(value: unknown): string | null {
	return value === undefined || value === null ? null : JSON.stringify(value);
}
