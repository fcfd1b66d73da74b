import { createHash } from "node:crypto";
import type { Saga, Step } from "./definition.ts";
import type { Reason, SagaState } from "./state.ts";

/** What `abort` wrote, for who goes on without reading it. */
export function turnRound(saga: SagaState, reason: Reason): void {
	saga.status = "aborting";
	saga.reason = reason;
	saga.needsAttention = false;
	for (const state of saga.steps) {
		state.attempts = 0;
		state.wait = 0;
		if (state.name === reason.step && state.action === "prepared") state.action = "failed";
	}
}

/** What the actions that are done answered, by the step's name. */
export function resultsOf({ steps }: Pick<SagaState, "steps">): Record<string, unknown> {
	return Object.fromEntries(steps.filter(step => step.action === "succeed").map(step => [step.name, step.result]));
}

/** The parameters of a step's two actions. */
export function paramsOf(saga: SagaState, step: Step): object {
	const { gid, payload } = saga;
	return step.params ? step.params({ gid, payload, results: resultsOf(saga) } as never) : payload;
}

/** @throws Error where a definition was changed without a new version: steps are known by their place */
export function assertSameSteps({ steps }: Saga, saga: SagaState): void {
	const names = ({ name }: { name: string }) => name;
	const [now, begun] = [steps.map(names).join(", "), saga.steps.map(names).join(", ")];
	if (now !== begun)
		throw new Error(`Saga ${saga.gid} has the steps ${begun}, version ${saga.version} of ${saga.name} now has ${now}`);
}

/**
 * Takes what a saga still waits for to be no more than it can have been: its database's clock may have been set back
 * since it was stored.
 * @param longest pause of a step, in milliseconds
 */
export function limitWaits(saga: SagaState, { timeout }: Saga, longest: number): void {
	for (const step of saga.steps) step.wait = Math.min(step.wait, longest);
	if (saga.remaining !== null && timeout !== undefined) saga.remaining = Math.min(saga.remaining, timeout);
}

/** Milliseconds left until the saga is rolled back. Counts down from what the database said when the row was read, so that no two clocks are compared. */
export function deadlineOf(saga: SagaState): () => number {
	const { remaining } = saga;
	if (remaining === null) return () => Number.POSITIVE_INFINITY;
	const read = performance.now();
	return () => (saga.status === "submitted" ? remaining - (performance.now() - read) : Number.POSITIVE_INFINITY);
}

export function timedOut({ timeout = 0 }: Saga): Reason {
	return { type: "SAGA_TIMEOUT", message: `Timeout after ${timeout / 1000} seconds` };
}

export function exhausted({ name }: Step, attempts: number, { message }: Reason): Reason {
	return { type: "SAGA_RETRY_LIMIT", message: `Tried ${attempts} times, the last time: ${message}`, step: name };
}

/** SHA-256 over JSON with its keys sorted, so that the order of fields does not matter. */
export function hashOf(value: unknown): string {
	const sorted = (_key: string, part: unknown) =>
		typeof part === "object" && part !== null && !Array.isArray(part)
			? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
			: part;
	return createHash("sha256").update(JSON.stringify(value, sorted)).digest("hex");
}
