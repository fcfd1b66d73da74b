import type { Saga } from "./definition.ts";

/** Where a saga stands: under way, being rolled back, or at one of its two ends. */
export type SagaStatus = "submitted" | "aborting" | "succeed" | "failed";

/** Where one of the two actions of a step stands. "prepared": not done as far as is known, it may have been sent. */
export type BranchStatus = "prepared" | "succeed" | "failed" | "skipped";

/** Why a saga was rolled back, or a step put off. */
export interface Reason {
	type: string;
	message: string;
	step?: string;
}

/** One step of a stored saga. */
export interface StepState {
	index: number;
	name: string;
	action: BranchStatus;
	compensation: BranchStatus;
	/** Failed tries in the direction that the saga goes. */
	attempts: number;
	/** Milliseconds until the next try; 0 or less: now. */
	wait: number;
	/** What the action answered. */
	result: unknown;
	lastError: Reason | null;
	startedAt: string | null;
	finishedAt: string | null;
	compensatedAt: string | null;
}

/** A stored saga. */
export interface SagaState {
	gid: string;
	name: string;
	version: number;
	status: SagaStatus;
	payload: object;
	payloadHash: string;
	/** Counts the owners: one more with each claim. Whoever holds an older one can not write any more. */
	epoch: number;
	owner: string;
	reason: Reason | null;
	needsAttention: boolean;
	/** W3C trace context of the request that began it. */
	traceparent: string | null;
	/** Milliseconds since it was begun, when it was read. */
	age: number;
	/** Milliseconds until it is rolled back; null: never. */
	remaining: number | null;
	createdAt: string;
	nextRunAt: string;
	finishedAt: string | null;
	steps: StepState[];
}

/** A saga to begin. */
export interface NewSaga {
	gid: string;
	payload: object;
	payloadHash: string;
	traceparent: string | null;
}

/** Whether a saga has come to an end, which never changes again. */
export function isFinished({ status }: { status: SagaStatus }): boolean {
	return status === "succeed" || status === "failed";
}

/** What a saga that was just stored looks like, without reading it again. */
export function begun({ name, version, steps, timeout }: Saga, saga: NewSaga, owner: string): SagaState {
	const now = new Date().toISOString();
	return {
		...saga,
		name,
		version,
		owner,
		status: "submitted",
		epoch: 1,
		reason: null,
		needsAttention: false,
		age: 0,
		remaining: timeout ?? null,
		createdAt: now,
		nextRunAt: now,
		finishedAt: null,
		steps: steps.map(step => ({
			index: step.index,
			name: step.name,
			action: "prepared",
			compensation: "prepared",
			attempts: 0,
			wait: 0,
			result: null,
			lastError: null,
			startedAt: null,
			finishedAt: null,
			compensatedAt: null
		}))
	};
}
