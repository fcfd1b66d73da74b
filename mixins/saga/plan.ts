import type { Saga, Step } from "./definition.ts";
import type { BranchStatus, SagaState, StepState } from "./state.ts";

/** What comes next: calls that may run side by side, or the end. */
export type Plan = { op: "action" | "compensate"; steps: Step[] } | { op: "finish"; status: "succeed" | "failed" };

/**
 * Decides what comes next from the definition and what is known, nothing else: no clock, no database. Steps that wait
 * for their next try are among the calls.
 */
export function plan(definition: Saga, saga: Pick<SagaState, "status" | "steps">): Plan {
	return saga.status === "submitted" ? forward(definition, saga.steps) : backward(definition, saga.steps);
}

function forward(definition: Saga, states: readonly StepState[]): Plan {
	const open = definition.steps.filter(step => !isDone(stateOf(states, step).action));
	if (open.length === 0) return { op: "finish", status: "succeed" };
	return { op: "action", steps: open.filter(step => mayHaveRun(definition, states, step)) };
}

function backward(definition: Saga, states: readonly StepState[]): Plan {
	const open = definition.steps.filter(
		step => mayHaveRun(definition, states, step) && !isDone(stateOf(states, step).compensation)
	);
	if (open.length === 0) return { op: "finish", status: "failed" };
	// The order backwards: a step is taken back when every step that was built on it is.
	return { op: "compensate", steps: open.filter(step => !open.some(other => other.after.includes(step.name))) };
}

/**
 * A step's success is stored before a step that depends on it is sent. So a step may have run when everything before it
 * is done, and these are all that need to be taken back, the failed ones and those with an unknown outcome included.
 */
function mayHaveRun(definition: Saga, states: readonly StepState[], step: Step): boolean {
	const before = definition.steps.filter(other => step.after.includes(other.name));
	return before.every(other => isDone(stateOf(states, other).action));
}

function isDone(status: BranchStatus): boolean {
	return status === "succeed" || status === "skipped";
}

/** The stored part of a step. */
export function stateOf(states: readonly StepState[], step: { index: number }): StepState {
	return states[step.index] as StepState;
}
