import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { ConsumerDefinition, Delivery } from "../../../mixins/channels/transport.ts";
import { Worker } from "../../../mixins/channels/worker.ts";
import { until } from "../../support/until.ts";

const definition = { name: "reader", stream: "FACTS", concurrency: 1 };
const full = () => {
	throw new Error("database or disk is full");
};

/** A message of a stream that can not write down what becomes of it. */
function deliveryOf(changes: Partial<Delivery> = {}): Delivery {
	return {
		...{ stream: "FACTS", seq: 1, subject: "fact", headers: {}, data: "{}", time: 0, attempts: 1 },
		ack: async () => {},
		retry: async () => full(),
		working: full,
		...changes
	};
}

function workerOf(handle: (delivery: Delivery) => Promise<void>, changes: Partial<ConsumerDefinition> = {}) {
	const warnings: string[] = [];
	const observer = { redelivered() {}, buried() {}, warn: (message: string) => warnings.push(message) };
	const worker = new Worker({
		definition: { ...definition, orderBy: "source", ...changes },
		handle,
		bury: async () => {},
		observer
	});
	return { worker, warnings };
}

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

describe("A worker with as many messages of a key as may wait", () => {
	/** `concurrency` 1: twenty wait. */
	const WAIT = 20;
	const of = (source: string, seq: number, changes: Partial<Delivery> = {}) =>
		deliveryOf({ working() {}, seq, headers: { source }, ...changes });

	it("takes no more before there is room, as long as those that wait go on, and sends none away", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const handled: number[] = [];
		const handle = async ({ seq }: Delivery) => {
			handled.push(seq);
			await setImmediate();
		};
		const { worker } = workerOf(handle, { concurrency: 2, together: 5 });
		t.after(() => worker.stop(1_000));
		const back: number[] = [];
		let done = 0;
		for (let seq = 1; seq <= 10 * WAIT; seq++)
			await worker.accept(of("note", seq, { ack: async () => void done++, retry: async () => void back.push(seq) }));
		await until("all are acknowledged", () => done === 10 * WAIT);
		assert.deepEqual(back, []);
		assert.deepEqual(
			handled,
			Array.from({ length: 10 * WAIT }, (_, i) => i + 1)
		);
	});

	it("sends away what comes for a key that does not move, after a wait and then at once, and goes on with others", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const release = Promise.withResolvers<void>();
		const handled: number[] = [];
		const { worker } = workerOf(
			async ({ seq, headers }) => {
				if (headers.source === "stuck") await release.promise;
				handled.push(seq);
			},
			{ concurrency: 2 }
		);
		t.after(() => worker.stop(1_000));
		const back: number[] = [];
		const accept = (source: string, seq: number) =>
			worker.accept(of(source, seq, { retry: async () => void back.push(seq) }));
		for (let seq = 1; seq <= 2 * WAIT + 1; seq++) await accept("stuck", seq);

		let isSettled = false;
		const waiting = accept("stuck", 100).then(() => {
			isSettled = true;
		});
		await setImmediate();
		assert.deepEqual([isSettled, back], [false, []]);
		t.mock.timers.tick(250);
		await waiting;
		await accept("stuck", 101);
		assert.deepEqual(back, [100, 101]);
		await accept("other", 102);
		await until("the other one is handled", () => handled.length === 1);

		release.resolve();
		await until("all that wait are handled", () => handled.length === 2 * WAIT + 2);
		await accept("stuck", 103);
		assert.deepEqual(back, [100, 101]);
		assert.deepEqual(handled.slice(0, 3), [102, 1, 2]);
	});

	it("handles together what it had sent away untried, and alone what another process may have tried", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const release = Promise.withResolvers<void>();
		let running = 0;
		const beside = new Map<number, number>();
		const { worker } = workerOf(
			async ({ seq }) => {
				beside.set(seq, ++running);
				await release.promise;
				await setImmediate();
				running--;
			},
			{ concurrency: 2, together: 30 }
		);
		t.after(() => worker.stop(1_000));
		const back: Delivery[] = [];
		const accept = async (delivery: Delivery) => {
			const accepted = worker.accept({ ...delivery, retry: async () => void back.push(delivery) });
			await setImmediate();
			t.mock.timers.tick(250);
			await accepted;
		};
		await accept(of("note", 1));
		for (let seq = 2; seq <= 2 * WAIT + 3; seq++) await accept(of("note", seq));
		assert.deepEqual(
			back.map(({ seq }) => seq),
			[2 * WAIT + 2, 2 * WAIT + 3]
		);
		release.resolve();
		await until("all that wait are handled", () => beside.size === 2 * WAIT + 1 && running === 0);

		const again = back.map(delivery => worker.accept({ ...delivery, attempts: 2 }));
		again.push(worker.accept(of("note", 99, { attempts: 2 })));
		await Promise.all(again);
		await until("they are handled", () => beside.size === 2 * WAIT + 4 && running === 0);
		assert.deepEqual([beside.get(2 * WAIT + 2), beside.get(2 * WAIT + 3), beside.get(99)], [1, 2, 1]);
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
