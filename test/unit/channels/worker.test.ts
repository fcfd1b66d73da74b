import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "../../support/until.ts";
import { deliveryOf, workerOf } from "../../support/worker.ts";

describe("A worker whose stream can not write", () => {
	it("goes on with the message that it can not keep, and says so", async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const { worker, warnings } = workerOf(() => promise, { ackWait: 30 });
		t.after(() => worker.stop(1_000));
		let isDone = false;
		void worker.accept(
			deliveryOf({
				ack: async () => {
					isDone = true;
				}
			})
		);
		await until("two warnings are there", () => warnings.length >= 2);
		resolve();
		await until("the handler has ended", () => isDone);
		assert.match(warnings[0] as string, /FACTS:1 could not be kept/);
	});

	it("lets a message go that it can not hand back, and says so", async () => {
		const { worker, warnings } = workerOf(async () => {});
		await worker.stop(1_000);
		await worker.accept(deliveryOf());
		assert.deepEqual(warnings, ["Message FACTS:1 could not be kept or handed back"]);
	});
});

describe("A worker whose stream hands messages out again", () => {
	it("does not take a second copy of a message that it has", async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const handled: number[] = [];
		const { worker } = workerOf(({ attempts }) => {
			handled.push(attempts);
			return promise;
		});
		t.after(() => worker.stop(1_000));
		const kept = { working() {}, retry: async () => {} };
		let acknowledged = 0;
		const first = worker.accept(deliveryOf({ ...kept, ack: async () => void acknowledged++ }));
		await worker.accept(deliveryOf({ ...kept, attempts: 40, ack: async () => void acknowledged++ }));
		resolve();
		await first;
		await until("the message is acknowledged", () => acknowledged > 0);
		await worker.stop(1_000);
		assert.deepEqual([handled, acknowledged], [[1], 1]);
	});

	it("hands a message back as late as after an attempt: another process takes each time for one", async t => {
		t.mock.method(Math, "random", () => 1);
		const { worker } = workerOf(async () => {});
		await worker.stop(1_000);
		const delays: number[] = [];
		for (const attempts of [1, 2, 3, 4, 5, 20])
			await worker.accept(deliveryOf({ attempts, retry: async delay => void delays.push(delay) }));
		assert.deepEqual(delays, [250, 500, 1_000, 2_000, 4_000, 300_000]);
	});
});

describe("A worker that may handle messages together", () => {
	const settled = { working() {}, retry: async () => {}, headers: { source: "note" } };
	const some = (acknowledged: number[]) =>
		[1, 2, 3, 4, 5, 6].map(seq => deliveryOf({ ...settled, seq, ack: async () => void acknowledged.push(seq) }));

	it("begins what waits in its order, and acknowledges all of it", async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const begun: number[] = [];
		const { worker } = workerOf(
			({ seq }) => {
				begun.push(seq);
				return promise;
			},
			{ together: 4 }
		);
		t.after(() => worker.stop(1_000));
		const acknowledged: number[] = [];
		for (const delivery of some(acknowledged)) void worker.accept(delivery);
		await until("the first were begun", () => begun.length > 0);
		assert.deepEqual(begun, [1, 2, 3, 4]);
		resolve();
		await until("all was acknowledged", () => acknowledged.length === 6);
		assert.deepEqual(begun, [1, 2, 3, 4, 5, 6]);
	});

	it("handles what failed again, one after the other, and acknowledges what did not", async t => {
		const handled: number[] = [];
		let running = 0;
		let most = 0;
		const { worker, warnings } = workerOf(
			async ({ seq }) => {
				const isFirstTime = !handled.includes(seq);
				handled.push(seq);
				if (isFirstTime && seq > 2) throw new Error("the transaction failed");
				if (isFirstTime) return;
				most = Math.max(most, ++running);
				await Promise.resolve();
				running--;
			},
			{ together: 6 }
		);
		t.after(() => worker.stop(1_000));
		const acknowledged: number[] = [];
		for (const delivery of some(acknowledged)) void worker.accept(delivery);
		await until("all was acknowledged", () => acknowledged.length === 6);
		assert.deepEqual(handled, [1, 2, 3, 4, 5, 6, 3, 4, 5, 6]);
		assert.deepEqual(acknowledged, [1, 2, 3, 4, 5, 6]);
		assert.equal(most, 1);
		assert.deepEqual(warnings, []);
	});

	it("stops at once when nothing was begun", async () => {
		const { worker } = workerOf(() => assert.fail("it was begun"), { together: 9 });
		const back: number[] = [];
		for (const delivery of some([]))
			void worker.accept({ ...delivery, retry: async () => void back.push(delivery.seq) });
		// All are in hand, and the turn in which they would be begun has not come.
		await new Promise(process.nextTick);
		assert.equal(await worker.stop(1_000), true);
		assert.deepEqual(back, [1, 2, 3, 4, 5, 6]);
	});

	it("hands back what failed while it stops", async () => {
		const failure = Promise.withResolvers<void>();
		const begun: number[] = [];
		const { worker } = workerOf(
			({ seq }) => {
				begun.push(seq);
				return failure.promise;
			},
			{ together: 9 }
		);
		const back: number[] = [];
		for (const delivery of some([]))
			void worker.accept({ ...delivery, retry: async () => void back.push(delivery.seq) });
		await until("all was begun", () => begun.length === 6);
		const stopped = worker.stop(1_000);
		failure.reject(new Error("the database is closed"));
		assert.equal(await stopped, true);
		assert.deepEqual(back, [1, 2, 3, 4, 5, 6]);
	});
});
