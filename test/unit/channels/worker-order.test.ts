import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
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
		await nextTurn();
		assert.deepEqual(begun, [1]);
		gates.get(1)?.();
		await until("it is begun", () => begun.length === 2);
		await nextTurn();
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
		await nextTurn();
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
		await nextTurn();
		const stopped = worker.stop(1_000);
		gate.resolve();
		assert.equal(await stopped, true);
		await until("it is handed back", () => back.length === 1);
	});
});
