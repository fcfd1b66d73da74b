import assert from "node:assert/strict";
import { it } from "node:test";
import { Housekeeping, purgeAll } from "../../../mixins/saga/housekeeping.ts";

const turn = () => new Promise(setImmediate);

it("Housekeeping runs a job once at a time, goes on after an error, and waits at its end", async t => {
	t.mock.timers.enable({ apis: ["setInterval"] });
	const errors: unknown[] = [];
	const runs: PromiseWithResolvers<void>[] = [];
	const housekeeping = new Housekeeping(error => errors.push(error));
	housekeeping.every(1_000, () => {
		const run = Promise.withResolvers<void>();
		runs.push(run);
		return run.promise;
	});
	for (let i = 0; i < 3; i++) t.mock.timers.tick(1_000);
	assert.equal(runs.length, 1);
	const failure = new Error("the database is away");
	runs[0]?.reject(failure);
	await turn();
	t.mock.timers.tick(1_000);
	assert.deepEqual([runs.length, errors], [2, [failure]]);

	let isStopped = false;
	const stopped = housekeeping.stop().then(() => {
		isStopped = true;
	});
	await turn();
	t.mock.timers.tick(1_000);
	assert.deepEqual([runs.length, isStopped], [2, false]);
	runs[1]?.resolve();
	await stopped;
});

it("What is old is deleted batch after batch, until one is not full", async () => {
	const batches = [500, 500, 3, 0];
	assert.equal(await purgeAll(async () => batches.shift() as number), 1_003);
	assert.deepEqual(batches, [0]);
});
