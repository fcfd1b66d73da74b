import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Delivery } from "../../../mixins/channels/transport.ts";
import { until } from "../../support/until.ts";
import { deliveryOf, workerOf } from "../../support/worker.ts";

describe("A worker with as many messages of a key as may wait", { timeout: 20_000 }, () => {
	/** Timers are the test's own here, so that it decides when a wait is over. */
	const turnsUntil = async (condition: () => boolean) => {
		while (!condition()) await setImmediate();
	};
	/** So many may wait for each slot of concurrency. */
	const WAIT = 20;
	const of = (source: string, seq: number, changes: Partial<Delivery> = {}) =>
		deliveryOf({ working() {}, seq, headers: { source }, ...changes });

	/** A worker whose handlers end when the test says so, the oldest first. */
	const gatedWorker = () => {
		const gates: PromiseWithResolvers<void>[] = [];
		const handle = () => {
			const gate = Promise.withResolvers<void>();
			gates.push(gate);
			return gate.promise;
		};
		return { ...workerOf(handle, { concurrency: 2 }), gates };
	};

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
		await turnsUntil(() => done === 10 * WAIT);
		assert.deepEqual(back, []);
		assert.deepEqual(
			handled,
			Array.from({ length: 10 * WAIT }, (_, i) => i + 1)
		);
	});

	it("counts the attempts of a message from one on, also where it has sent another one with its number away", async t => {
		const release = Promise.withResolvers<void>();
		const done: number[] = [];
		const sentAway: number[] = [];
		const { worker } = workerOf(
			async ({ headers }) => {
				await release.promise;
				if (headers.source === "new") throw new Error("broken");
			},
			{ concurrency: 2, maxAttempts: 1 }
		);
		t.after(() => worker.stop(1_000));
		const told = (source: string, seq: number) =>
			of(source, seq, { ack: async () => void done.push(seq), retry: async () => void sentAway.push(seq) });
		for (let seq = 1; sentAway.length === 0; seq++) await worker.accept(told("old", seq));
		const [number = 0] = sentAway;
		release.resolve();
		await until("the others are done", () => done.length === number - 1);
		await worker.accept(told("new", number));
		await until("it is given up at its first attempt", () => done.includes(number));
		assert.deepEqual(sentAway, [number]);
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
		await turnsUntil(() => handled.length === 1);

		release.resolve();
		await turnsUntil(() => handled.length === 2 * WAIT + 2);
		assert.deepEqual(back, [100, 101]);
		assert.deepEqual(handled.slice(0, 3), [102, 1, 2]);
	});

	it("waits for room again once messages of such a key are done, as long as they earn it", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const { worker, gates } = gatedWorker();
		t.after(() => {
			t.mock.timers.reset();
			return worker.stop(0);
		});
		const back: number[] = [];
		const accept = async (seq: number) => {
			let isOver = false;
			const accepted = worker.accept(of("note", seq, { retry: async () => void back.push(seq) }));
			void accepted.then(() => {
				isOver = true;
			});
			await setImmediate();
			return { accepted, waits: !isOver };
		};
		for (let seq = 1; seq <= 2 * WAIT + 1; seq++) await accept(seq);
		const first = await accept(100);
		assert.equal(first.waits, true);
		t.mock.timers.tick(250);
		await first.accepted;
		assert.equal((await accept(101)).waits, false);
		assert.deepEqual(back, [100, 101]);

		gates.shift()?.resolve();
		await turnsUntil(() => gates.length === 1);
		assert.equal((await accept(102)).waits, false);
		// Two are pulled at a time: each that is done earns half of the patience.
		const second = await accept(103);
		assert.equal(second.waits, true);
		t.mock.timers.tick(125);
		await second.accepted;
		assert.deepEqual(back, [100, 101, 103]);
	});

	it("does not wait behind a retry, and hands back who waits when it stops", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const { worker, gates } = gatedWorker();
		const back: number[] = [];
		const accept = (source: string, seq: number) =>
			worker.accept(of(source, seq, { retry: async () => void back.push(seq) }));
		for (let seq = 1; seq <= 2 * WAIT + 1; seq++) await accept("failing", seq);
		const behind = accept("failing", 100);
		await setImmediate();
		gates.shift()?.reject(new Error("at first"));
		await behind;
		await accept("failing", 101);
		assert.deepEqual(back, [1, 100, 101]);

		await accept("slow", 102);
		const waiting = accept("slow", 103);
		await setImmediate();
		assert.equal(back.includes(103), false);
		const stopped = worker.stop(1_000);
		await waiting;
		gates.shift()?.resolve();
		assert.equal(await stopped, true);
		assert.equal(back.includes(103), true);
		assert.deepEqual(gates, []);
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
		await turnsUntil(() => beside.size === 2 * WAIT + 1 && running === 0);

		const again = back.map(delivery => worker.accept({ ...delivery, attempts: 2 }));
		again.push(worker.accept(of("note", 99, { attempts: 2 })));
		await Promise.all(again);
		await turnsUntil(() => beside.size === 2 * WAIT + 4 && running === 0);
		assert.deepEqual([beside.get(2 * WAIT + 2), beside.get(2 * WAIT + 3), beside.get(99)], [1, 2, 1]);
	});
});
