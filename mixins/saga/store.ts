import { QueryTypes, UniqueConstraintError } from "sequelize";
import type { Database } from "./database.ts";
import type { Saga, Step } from "./definition.ts";
import { fence, json, type Note } from "./fence.ts";
import { readSagas } from "./rows.ts";
import { begun, type NewSaga, type Reason, type SagaState, type SagaStatus } from "./state.ts";

/** Who claims a saga, and for how long. */
export interface Claimer {
	owner: string;
	/** Milliseconds. */
	lease: number;
	/** Takes it from an owner whose lease has not ended. */
	force?: boolean;
}

/** A saga that nobody drives and that has something to do. */
export interface Due {
	gid: string;
	epoch: number;
	/** For how long, in milliseconds. */
	late: number;
	/** Whether its last owner said nothing until its lease was over, instead of giving it back. */
	isAbandoned: boolean;
}

/** How a call ended without success. */
export interface Delay {
	error: Reason;
	/** Milliseconds until the next try. */
	wait: number;
	/** Whether it counts as a failed try. */
	failed: boolean;
	/** Ask for a person to look at it. */
	attention: boolean;
}

export type SagaStore = ReturnType<typeof sagaStore>;

const OPEN = "('submitted', 'aborting')";

/**
 * The saga tables. Each write of an owner says which epoch it owns and which status it changes; where the row says
 * otherwise it changes nothing and throws `Fenced`. A claim raises the epoch in the saga's row and in its steps', so one
 * statement on either is fenced. Writes that also leave a note in the timeline are one transaction.
 */
export function sagaStore({ db, transaction: inTransaction }: Database) {
	const { clock, change, fenced, touch, note } = fence({ db });
	const isFree = `lease_until <= ${clock.now}`;

	async function find(gid: string): Promise<SagaState | null> {
		const [saga] = await readSagas(db, clock, { where: "gid = $gid", bind: { gid } });
		return saga ?? null;
	}

	return {
		find,

		/** Begins a saga; the one who does owns it first. @returns null where the id is taken */
		async insert(definition: Saga, saga: NewSaga, { owner, lease }: Claimer): Promise<SagaState | null> {
			const { gid, traceparent } = saga;
			const steps = definition.steps.map(step => `($gid, ${step.index}, '${step.name}', 1, 'prepared', 'prepared', 0)`);
			const end = definition.timeout === undefined ? "NULL" : clock.after(String(definition.timeout));
			try {
				await inTransaction(async transaction => {
					await db.query(
						`INSERT INTO saga (gid, name, version, status, payload, payload_hash, epoch, owner, lease_until, next_run_at,
							deadline, needs_attention, traceparent, created_at, updated_at)
						VALUES ($gid, $name, $version, 'submitted', $payload, $hash, 1, $owner, ${clock.after("$lease")},
							${clock.after("$lease")}, ${end}, 0, $traceparent, ${clock.now}, ${clock.now})`,
						{
							transaction,
							bind: {
								gid,
								owner,
								lease,
								traceparent,
								name: definition.name,
								version: definition.version,
								payload: json(saga.payload),
								hash: saga.payloadHash
							}
						}
					);
					await db.query(
						`INSERT INTO saga_step (gid, idx, name, epoch, action_status, compensate_status, attempts)
						VALUES ${steps.join(", ")}`,
						{ transaction, bind: { gid } }
					);
				});
			} catch (error) {
				if (error instanceof UniqueConstraintError) return null;
				throw error;
			}
			return begun(definition, saga, owner);
		},

		/** Sagas that nobody drives and that are due, longest due first. @param except whose claim is under way already */
		async due(known: readonly Saga[], limit: number, except: readonly string[] = []): Promise<Due[]> {
			if (known.length === 0) return [];
			const others = except.length > 0 ? `AND gid NOT IN (${except.map(gid => `'${gid}'`).join(", ")})` : "";
			// Each status by itself is a range of the index in its order: no more rows are read than are due.
			const withStatus = (status: SagaStatus) =>
				`SELECT * FROM (SELECT gid, epoch, next_run_at, lease_until FROM saga
				WHERE status = '${status}' AND next_run_at <= ${clock.now} AND ${isFree} AND ${isOneOf(known)} ${others}
				ORDER BY next_run_at LIMIT ${limit}) AS ${status}`;
			const rows = await db.query<Record<keyof Due, number> & { gid: string }>(
				// While somebody owns it a saga is due when the lease ends; who gives it back ends the lease at once.
				`SELECT gid, epoch, -${clock.until("next_run_at")} AS late, next_run_at = lease_until AS isAbandoned
				FROM (${withStatus("submitted")} UNION ALL ${withStatus("aborting")}) AS due
				ORDER BY next_run_at LIMIT ${limit}`,
				{ type: QueryTypes.SELECT }
			);
			return rows.map(row => ({ ...row, late: Number(row.late), isAbandoned: row.isAbandoned === 1 }));
		},

		/** Leaves a due saga alone for `wait` milliseconds, and asks for a person to look at it. */
		async setAside({ gid, epoch }: Pick<Due, "gid" | "epoch">, wait: number): Promise<void> {
			await change(
				`UPDATE saga SET next_run_at = ${clock.after("$wait")}, needs_attention = 1
				WHERE gid = $gid AND epoch = $epoch AND ${isFree}`,
				{ gid, epoch, wait }
			);
		},

		/**
		 * Takes a saga over.
		 * @param why noted in its timeline
		 * @returns its state, null where somebody else was faster or it has finished
		 */
		async claim(gid: string, seen: number, { owner, lease, force = false }: Claimer, why?: Note) {
			const epoch = seen + 1;
			return inTransaction(async transaction => {
				const until = clock.after("$lease");
				const claimed = await change(
					`UPDATE saga SET epoch = $epoch, owner = $owner, lease_until = ${until}, next_run_at = ${until},
						updated_at = ${clock.now}
					WHERE gid = $gid AND epoch = $seen AND status IN ${OPEN} ${force ? "" : `AND ${isFree}`}`,
					{ gid, epoch, seen, owner, lease },
					transaction
				);
				if (claimed !== 1) return null;
				await change("UPDATE saga_step SET epoch = $epoch WHERE gid = $gid", { gid, epoch }, transaction);
				// What it will drive is what its own epoch sees, whatever another owner wrote before or writes later.
				const selection = { where: "gid = $gid AND epoch = $epoch", bind: { gid, epoch }, transaction };
				const [saga] = await readSagas(db, clock, selection);
				if (saga && why) await note(saga, why, transaction);
				return saga ?? null;
			});
		},

		/** Puts the end of the lease off. */
		renew(saga: SagaState, lease: number): Promise<void> {
			const until = clock.after("$lease");
			return touch(saga, undefined, `, lease_until = ${until}, next_run_at = ${until}`, { lease });
		},

		/** Stores that an action is done, before anything that depends on it is sent. */
		async actionDone({ gid, epoch }: SagaState, { index }: Step, result: unknown, took: number): Promise<void> {
			await fenced(
				gid,
				`UPDATE saga_step SET action_status = 'succeed', result = $result, last_error = NULL, retry_at = NULL,
					started_at = COALESCE(started_at, ${clock.after("$ago")}), finished_at = ${clock.now}
				WHERE gid = $gid AND idx = ${index} AND epoch = $epoch AND action_status = 'prepared'`,
				{ epoch, result: json(result), ago: -Math.round(took) }
			);
		},

		/** Stores that a compensation is done. */
		async compensated({ gid, epoch }: SagaState, { index }: Step): Promise<void> {
			await fenced(
				gid,
				`UPDATE saga_step SET compensate_status = 'succeed', last_error = NULL, retry_at = NULL,
					compensated_at = ${clock.now}
				WHERE gid = $gid AND idx = ${index} AND epoch = $epoch AND compensate_status = 'prepared'`,
				{ epoch }
			);
		},

		/** Stores that a call is to be tried again later. */
		delay(saga: SagaState, step: Step, { error, wait, failed, attention }: Delay): Promise<void> {
			return inTransaction(async transaction => {
				await touch(saga, transaction, attention ? ", needs_attention = 1" : "");
				await fenced(
					saga.gid,
					`UPDATE saga_step SET attempts = attempts + ${failed ? 1 : 0}, retry_at = ${clock.after("$wait")},
						last_error = $error, started_at = COALESCE(started_at, ${clock.now})
					WHERE gid = $gid AND idx = ${step.index} AND epoch = $epoch`,
					{ epoch: saga.epoch, wait, error: json(error) },
					transaction
				);
				if (failed) await note(saga, { kind: "tryFailed", step: step.name, detail: error }, transaction);
				if (attention) await note(saga, { kind: "needsAttention", step: step.name, detail: error }, transaction);
			});
		},

		/** Turns the direction round, before the first compensation is sent. */
		abort(saga: SagaState, reason: Reason, actor?: string): Promise<void> {
			return inTransaction(async transaction => {
				const set = ", status = 'aborting', reason = $reason, needs_attention = 0";
				await touch(saga, transaction, set, { reason: json(reason) });
				await change(
					`UPDATE saga_step SET attempts = 0, retry_at = NULL,
						action_status = CASE WHEN name = $failed AND action_status = 'prepared' THEN 'failed' ELSE action_status END
					WHERE gid = $gid AND epoch = $epoch`,
					{ gid: saga.gid, epoch: saga.epoch, failed: reason.step ?? "" },
					transaction
				);
				const step = reason.step ? { step: reason.step } : {};
				await note(saga, { kind: "aborting", detail: reason, ...step, ...(actor && { actor }) }, transaction);
			});
		},

		/** Ends a saga. */
		finish(saga: SagaState, status: "succeed" | "failed"): Promise<void> {
			const set = `, status = $status, needs_attention = 0, finished_at = ${clock.now}, lease_until = ${clock.now}`;
			return touch(saga, undefined, set, { status });
		},

		/** Gives a saga back until it is due again; it is not like one whose owner has gone. @param wait milliseconds */
		release(saga: SagaState, wait: number): Promise<void> {
			const set = `, lease_until = ${clock.after("-1")}, next_run_at = ${clock.after("$wait")}`;
			// A transaction is run again after a deadlock, which operators and coordinators that come at once may cause.
			return inTransaction(transaction => touch(saga, transaction, set, { wait }));
		}
	};
}

function isOneOf(known: readonly Saga[]): string {
	return `(${known.map(({ name, version }) => `(name = '${name}' AND version = ${version})`).join(" OR ")})`;
}
