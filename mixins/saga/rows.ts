import { QueryTypes, type Sequelize, type Transaction } from "sequelize";
import { type Clock, isoTime } from "./database.ts";
import type { BranchStatus, Reason, SagaState, SagaStatus, StepState } from "./state.ts";

type Time = Date | string;

interface SagaRow {
	gid: string;
	name: string;
	version: number;
	status: SagaStatus;
	payload: string;
	payload_hash: string;
	epoch: number;
	owner: string;
	reason: string | null;
	needs_attention: number;
	traceparent: string | null;
	remaining: number | string | null;
	age: number | string;
	created_at: Time;
	next_run_at: Time;
	finished_at: Time | null;
}

interface StepRow {
	gid: string;
	idx: number;
	name: string;
	action_status: BranchStatus;
	compensate_status: BranchStatus;
	attempts: number;
	wait: number | string | null;
	result: string | null;
	last_error: string | null;
	started_at: Time | null;
	finished_at: Time | null;
	compensated_at: Time | null;
}

/** One entry of a saga's timeline. */
export interface SagaEvent {
	at: string;
	kind: string;
	step: string | null;
	epoch: number;
	/** The node or the person. */
	actor: string;
	detail: Reason | null;
}

interface EventRow extends Omit<SagaEvent, "at" | "detail"> {
	at: Time;
	detail: string | null;
}

/** Which sagas to read: SQL after WHERE and what it binds. */
export interface Selection {
	where: string;
	bind?: Record<string, unknown>;
	/** SQL after the condition: order and limit. */
	tail?: string;
	transaction?: Transaction;
}

/** Reads sagas with their steps. */
export async function readSagas(db: Sequelize, clock: Clock, { where, bind = {}, tail = "", transaction }: Selection) {
	const options = { type: QueryTypes.SELECT, transaction } as const;
	const rows = await db.query<SagaRow>(
		`SELECT saga.*, ${clock.until("deadline")} AS remaining, -${clock.until("created_at")} AS age FROM saga WHERE ${where} ${tail}`,
		{ ...options, bind }
	);
	if (rows.length === 0) return [];
	// Ids that were read from the table: they hold no quote.
	const gids = rows.map(row => `'${row.gid}'`).join(", ");
	const steps = await db.query<StepRow>(
		`SELECT saga_step.*, ${clock.until("retry_at")} AS wait FROM saga_step WHERE gid IN (${gids}) ORDER BY gid, idx`,
		options
	);
	return rows.map(row => sagaOf(row, steps.filter(step => step.gid === row.gid).map(stepOf)));
}

/** Reads what was noted of a saga, in order. */
export async function readEvents(db: Sequelize, gid: string): Promise<SagaEvent[]> {
	const rows = await db.query<EventRow>(
		"SELECT at, kind, step, epoch, actor, detail FROM saga_event WHERE gid = $gid ORDER BY seq",
		{ type: QueryTypes.SELECT, bind: { gid } }
	);
	return rows.map(row => ({ ...row, at: isoTime(row.at), detail: parsed<Reason>(row.detail) }));
}

function sagaOf(row: SagaRow, steps: StepState[]): SagaState {
	return {
		gid: row.gid,
		name: row.name,
		version: row.version,
		status: row.status,
		payload: JSON.parse(row.payload),
		payloadHash: row.payload_hash,
		epoch: row.epoch,
		owner: row.owner,
		reason: parsed<Reason>(row.reason),
		needsAttention: row.needs_attention === 1,
		traceparent: row.traceparent,
		age: Number(row.age),
		remaining: row.remaining === null ? null : Number(row.remaining),
		createdAt: isoTime(row.created_at),
		nextRunAt: isoTime(row.next_run_at),
		finishedAt: isoTime(row.finished_at),
		steps
	};
}

function stepOf(row: StepRow): StepState {
	return {
		index: row.idx,
		name: row.name,
		action: row.action_status,
		compensation: row.compensate_status,
		attempts: row.attempts,
		wait: Number(row.wait ?? 0),
		result: parsed(row.result),
		lastError: parsed<Reason>(row.last_error),
		startedAt: isoTime(row.started_at),
		finishedAt: isoTime(row.finished_at),
		compensatedAt: isoTime(row.compensated_at)
	};
}

function parsed<T>(text: string | null): T | null {
	return text === null ? null : JSON.parse(text);
}
