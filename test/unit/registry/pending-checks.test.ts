import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { PendingChecks } from "../../../mixins/etcd-registry/pending-checks.ts";

describe("A node that owes an answer", () => {
	let checked: string[];
	let checks: PendingChecks;

	beforeEach(() => {
		mock.timers.enable({ apis: ["setTimeout"] });
		checked = [];
		checks = new PendingChecks(50, nodeID => checked.push(nodeID));
	});
	afterEach(() => mock.timers.reset());

	// Step by step, so that timers set on the way come due on the way.
	function pass(milliseconds: number): void {
		for (let i = 0; i < milliseconds; i++) mock.timers.tick(1);
	}

	it("is checked after a moment of silence, and then ever more rarely", () => {
		checks.sent("a");
		pass(49);
		assert.equal(checked.length, 0);
		pass(1);
		assert.equal(checked.length, 1);
		pass(100);
		assert.equal(checked.length, 2);
		pass(200 + 400 + 800 + 1000 + 1000);
		assert.equal(checked.length, 7);
	});

	it("is not checked as long as it answers something", () => {
		checks.sent("a");
		for (let i = 0; i < 10; i++) {
			checks.sent("a");
			pass(25);
			checks.over("a", true);
		}
		assert.deepEqual(checked, []);
		pass(100);
		assert.deepEqual(checked, ["a"], "one request is still open");
	});

	it("is forgotten when nothing is open any more, answered or not", () => {
		checks.sent("a");
		checks.sent("b");
		checks.over("a", true);
		checks.over("b", false);
		checks.over("never asked", true);
		pass(10_000);
		assert.deepEqual(checked, []);
	});
});
