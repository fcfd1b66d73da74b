import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RetryBudget } from "../../mixins/resilience/retry-budget.ts";

/** A budget on a clock of the test's. */
function budget({ share = 0.1, perSecond = 0, most = 10 } = {}) {
	const clock = { now: 0 };
	return { clock, budget: new RetryBudget({ share, perSecond, most }, () => clock.now) };
}

const takeAll = (from: RetryBudget) => {
	let taken = 0;
	while (from.take()) taken++;
	return taken;
};

describe("The retry budget", () => {
	it("begins full, so that a restart of a neighbour right after the start is no problem", () => {
		assert.equal(takeAll(budget().budget), 10);
	});

	it("earns a share of a retry with each call", () => {
		const { budget: one } = budget({ share: 0.25 });
		takeAll(one);
		for (let call = 0; call < 100; call++) one.called();
		assert.equal(takeAll(one), 10, "no more than can be saved");
		for (let call = 0; call < 9; call++) one.called();
		assert.equal(takeAll(one), 2);
	});

	it("earns retries with time, too", () => {
		const { budget: one, clock } = budget({ perSecond: 2 });
		takeAll(one);
		clock.now += 499;
		assert.equal(one.take(), false);
		clock.now += 1001;
		assert.equal(takeAll(one), 3);
	});
});
