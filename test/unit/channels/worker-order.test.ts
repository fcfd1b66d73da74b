import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Delivery } from "../../../mixins/channels/transport.ts";
import { until } from "../../support/until.ts";
import { deliveryOf, workerOf } from "../../support/worker.ts";

describe("A worker", { timeout: 20_000 }, () => {
	it("handles a message that comes again unexplained when all others have ended, and alone", async t => {
		const begun: number[] = [];
		const gates = new Map<number, () => void>();
		const { worker } = workerOf(
			({ seq }) => {
				begun.push(seq);
				return new Promise<void>(resolve => gates.set(seq, resolve));
			},
			{ concurrency: 3, orderBy: "none" }
		);
		t.after(() => worker.stop(1_000));
		const of = (seq: number, attempts = 1): Delivery => deliveryOf({ seq, attempts, working() {} });
		await worker.accept(of(1));
		const second = worker.accept(of(2, 2)).then(() => worker.accept(of(3)));
		await delay(20);
		assert.deepEqual(begun, [1]);
		gates.get(1)?.();
		await until("it is begun", () => begun.length === 2);
		await delay(20);
		assert.deepEqual(begun, [1, 2]);
		gates.get(2)?.();
		await second;
		await until("the next one", () => begun.length === 3);
		gates.get(3)?.();
	});

	it("sends no message away that others wait for, where as many wait as may", async t => {
		const WAIT = 20;
		const back: number[] = [];
		const handled: number[] = [];
		const { worker } = workerOf(
			async ({ seq }) => {
				if (seq > handled.length + 1) throw Object.assign(new Error("too early"), { waitsForOthers: true });
				handled.push(seq);
			},
			{ concurrency: 1, ackWait: 60_000 }
		);
		t.after(() => worker.stop(1_000));
		const of = (seq: number) =>
			deliveryOf({ seq, headers: { source: "a" }, working() {}, retry: async () => void back.push(seq) });
		for (let seq = 2; seq <= WAIT + 1; seq++) await worker.accept(of(seq));
		await delay(50);
		await worker.accept(of(1));
		await until("all are handled", () => handled.length >= WAIT);
		assert.deepEqual(back, [WAIT + 1]);
	});

	it("what waits for others is handed back, where the worker stops while it is tried", async () => {
		const gate = Promise.withResolvers<void>();
		const back: number[] = [];
		const { worker } = workerOf(async () => {
			await gate.promise;
			throw Object.assign(new Error("too early"), { waitsForOthers: true });
		});
		void worker.accept(deliveryOf({ headers: { source: "a" }, retry: async ms => void back.push(ms) }));
		await delay(5);
		const stopped = worker.stop(1_000);
		gate.resolve();
		assert.equal(await stopped, true);
		await delay(5);
		assert.equal(back.length, 1);
	});

	it("others of its key wait for a retry until it must have been elsewhere", async t => {
		const handled: number[] = [];
		const { worker } = workerOf(
			async ({ seq, attempts }) => {
				handled.push(seq);
				if (seq === 1 && attempts === 1) throw new Error("not now");
			},
			{ retryDelay: 20, ackWait: 3_000, concurrency: 5 }
		);
		t.after(() => worker.stop(1_000));
		const of = (seq: number, attempts = 1) =>
			deliveryOf({ seq, attempts, headers: { source: "a" }, retry: async () => {}, working() {} });
		await worker.accept(of(1));
		await until("it is tried", () => handled.length === 1);
		await worker.accept(of(2));
		await delay(200);
		await worker.accept(of(1, 2));
		await until("all", () => handled.length === 3);
		assert.deepEqual(handled, [1, 1, 2]);
	});
});
