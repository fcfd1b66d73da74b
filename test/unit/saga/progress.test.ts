import assert from "node:assert/strict";
import { it } from "node:test";
import { reasonOf } from "../../../mixins/saga/errors.ts";
import { turnRound } from "../../../mixins/saga/progress.ts";
import type { SagaState, StepState } from "../../../mixins/saga/state.ts";

it("A saga that turns round begins to count and to wait anew, and knows which step has failed", () => {
	const step = (name: string, state: Partial<StepState>) => ({ name, attempts: 0, wait: 0, ...state }) as StepState;
	const saga = {
		status: "submitted",
		needsAttention: true,
		reason: null,
		steps: [
			step("hotel", { action: "succeed", attempts: 4 }),
			step("car", { action: "prepared", attempts: 9, wait: 60_000 }),
			step("mail", { action: "prepared" })
		]
	} as unknown as SagaState;
	const reason = { type: "SAGA_FAILURE", message: "no car", step: "car" };
	turnRound(saga, reason);
	assert.deepEqual([saga.status, saga.reason, saga.needsAttention], ["aborting", reason, false]);
	assert.deepEqual(
		saga.steps.map(({ action, attempts, wait }) => [action, attempts, wait]),
		[
			["succeed", 0, 0],
			["failed", 0, 0],
			["prepared", 0, 0]
		]
	);
});

it("What is stored of an error is its beginning, however long it is", () => {
	const reason = reasonOf(new Error(`no car${"!".repeat(1_000_000)}`), "car");
	assert.deepEqual([reason.type, reason.message.slice(0, 7), reason.message.length], ["Error", "no car!", 500]);
});
