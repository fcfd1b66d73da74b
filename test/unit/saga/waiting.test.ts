import assert from "node:assert/strict";
import { it } from "node:test";
import type { SagaState } from "../../../mixins/saga/state.ts";
import { Waiting } from "../../../mixins/saga/waiting.ts";

it("Who waits for a saga that another process drives reads it every 200 ms, also at the end of its patience", async () => {
	const saga = { gid: "g1", status: "submitted" } as SagaState;
	let reads = 0;
	const waiting = new Waiting(async () => {
		reads++;
		return saga;
	});
	assert.equal(await waiting.forEnd(saga, 700.5), saga);
	assert.ok(reads >= 2 && reads <= 5, `${reads} reads`);
});
