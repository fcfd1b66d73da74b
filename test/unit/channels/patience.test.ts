import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Patience } from "../../../mixins/channels/patience.ts";

const MOST_MS = 250;

/** Waits for room that never comes, until the patience must be over. */
async function waitInVain(t: TestContext, patience: Patience): Promise<void> {
	const waiting = patience.waitFor(new Promise(() => {})).then(() => "over");
	t.mock.timers.tick(MOST_MS);
	assert.equal(await Promise.race([waiting, nextTurn("waits")]), "over");
	assert.equal(patience.isOver, true);
}

describe("The patience of a worker", () => {
	it("is not hoarded: however much was done before, it ends", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const patience = new Patience(1);
		patience.earn(1_000_000);
		await waitInVain(t, patience);
	});

	it("is earned again by messages that are done", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const patience = new Patience(4);
		await waitInVain(t, patience);
		patience.earn(1);
		assert.equal(patience.isOver, false);
		await waitInVain(t, patience);
	});
});
