import { QueryTypes } from "sequelize";
import type { Database } from "./database.ts";
import type { Saga } from "./definition.ts";
import { refusals } from "./errors.ts";
import { fence, type Note } from "./fence.ts";
import { readEvents, readSagas, type SagaEvent } from "./rows.ts";
import type { SagaState, SagaStatus } from "./state.ts";

/** What to list. */
export interface ListFilter {
	status?: SagaStatus;
	/** Only those that ask for a person. */
	attention?: boolean;
	limit: number;
}

/** What the gauges show. */
export interface Standing {
	unfinished: number;
	needingAttention: number;
	/** Age of the oldest unfinished saga, in milliseconds; 0 where there is none. */
	oldest: number;
}

/** A step of the database's clock that is smaller than this is waited for. */
const CLOCK_STEP_MS = 60_000;
const RIGHTED_AT_ONCE = 500;
const UNFINISHED = "status IN ('submitted', 'aborting')";

export type OperatorStore = ReturnType<typeof operatorStore>;

/** What an operator, the metrics and the retention job do to the saga tables. Writes go through the same fence. */
export function operatorStore({ db, transaction: inTransaction }: Database) {
	const { clock, change, touch, note } = fence({ db });
	const isOfTheFuture = `updated_at > ${clock.after(String(CLOCK_STEP_MS))}`;

	return {
		events: (gid: string): Promise<SagaEvent[]> => readEvents(db, gid),

		/** The newest sagas first. */
		list({ status, attention = false, limit }: ListFilter): Promise<SagaState[]> {
			// A saga that has ended needs nobody, and there is an index on the status.
			const asked = attention ? [`needs_attention = 1 AND ${UNFINISHED}`] : [];
			const conditions = [status ? "status = $status" : "1 = 1", ...asked];
			const bind = status ? { status } : {};
			const tail = `ORDER BY created_at DESC, gid DESC LIMIT ${limit}`;
			return readSagas(db, clock, { where: conditions.join(" AND "), bind, tail });
		},

		/** Makes a step done in the direction that the saga goes, without a call. @throws SAGA_STEP_NOT_OPEN */
		skip(saga: SagaState, step: string, by: Note): Promise<void> {
			const column = saga.status === "submitted" ? "action_status" : "compensate_status";
			return inTransaction(async transaction => {
				await touch(saga, transaction, ", needs_attention = 0");
				const skipped = await change(
					`UPDATE saga_step SET ${column} = 'skipped', attempts = 0, retry_at = NULL
					WHERE gid = $gid AND name = $step AND epoch = $epoch AND ${column} = 'prepared'`,
					{ gid: saga.gid, epoch: saga.epoch, step },
					transaction
				);
				if (skipped !== 1) throw refusals.noSuchStep();
				await note(saga, by, transaction);
			});
		},

		/** Lets waiting steps be tried at once. */
		hurry(saga: SagaState, by: Note): Promise<void> {
			return inTransaction(async transaction => {
				await touch(saga, transaction);
				const mine = { gid: saga.gid, epoch: saga.epoch };
				await change("UPDATE saga_step SET retry_at = NULL WHERE gid = $gid AND epoch = $epoch", mine, transaction);
				await note(saga, by, transaction);
			});
		},

		/** Ends a saga as failed with compensations left undone. */
		giveUp(saga: SagaState, by: Note): Promise<void> {
			return inTransaction(async transaction => {
				await touch(saga, transaction, `, status = 'failed', needs_attention = 0, finished_at = ${clock.now}`);
				await note(saga, by, transaction);
			});
		},

		/** Marks sagas that are long due and that this node has no definition for. @returns how many it marked */
		park(known: readonly Saga[], overdue: number): Promise<number> {
			const mine = known.map(({ name, version }) => `(name = '${name}' AND version = ${version})`);
			return change(
				`UPDATE saga SET needs_attention = 1 WHERE ${UNFINISHED} AND needs_attention = 0
				AND next_run_at <= ${clock.after("$before")} AND NOT (${mine.join(" OR ") || "1 = 0"})`,
				{ before: -overdue }
			);
		},

		/**
		 * Makes sagas due that were stored in what is the future now: the database's clock was set back, and they would wait for
		 * as long. Who takes one from an owner that is still there fences that one out, as ever.
		 */
		async bringBack(): Promise<void> {
			const rows = await db.query<{ gid: string }>(
				`SELECT gid FROM saga WHERE ${UNFINISHED} AND ${isOfTheFuture} LIMIT ${RIGHTED_AT_ONCE}`,
				{ type: QueryTypes.SELECT }
			);
			for (const { gid } of rows)
				await change(
					`UPDATE saga SET next_run_at = ${clock.now}, lease_until = ${clock.now}, updated_at = ${clock.now}
					WHERE gid = $gid AND ${isOfTheFuture}`,
					{ gid }
				);
		},

		async standing(): Promise<Standing> {
			const [row] = await db.query<Record<keyof Standing, number | string | null>>(
				`SELECT COUNT(*) AS unfinished, SUM(needs_attention) AS needingAttention,
					-MIN(${clock.until("created_at")}) AS oldest
				FROM saga WHERE ${UNFINISHED}`,
				{ type: QueryTypes.SELECT }
			);
			const { unfinished = 0, needingAttention = 0, oldest = 0 } = row ?? {};
			return { unfinished: Number(unfinished), needingAttention: Number(needingAttention), oldest: Number(oldest) };
		},

		/** Deletes sagas that finished longer ago than `age` milliseconds, a batch at a time. @returns how many */
		async purge(age: number, batch: number): Promise<number> {
			const rows = await db.query<{ gid: string }>(
				`SELECT gid FROM saga WHERE finished_at < ${clock.after("$age")} LIMIT ${batch}`,
				{ type: QueryTypes.SELECT, bind: { age: -age } }
			);
			if (rows.length === 0) return 0;
			const gids = rows.map(({ gid }) => `'${gid}'`).join(", ");
			await inTransaction(async transaction => {
				for (const table of ["saga_event", "saga_step", "saga"])
					await change(`DELETE FROM ${table} WHERE gid IN (${gids})`, {}, transaction);
			});
			return rows.length;
		}
	};
}
