import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Delivery } from "../../../mixins/channels/transport.ts";
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

function workerOf(handle: (delivery: Delivery) => Promise<void>, ackWait = 10_000) {
	const warnings: string[] = [];
	const observer = { redelivered() {}, buried() {}, warn: (message: string) => warnings.push(message) };
	const worker = new Worker({ definition: { ...definition, ackWait }, handle, bury: async () => {}, observer });
	return { worker, warnings };
}

describe("A worker whose stream can not write", () => {
	it("goes on with the message that it can not keep, and says so", async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const { worker, warnings } = workerOf(() => promise, 30);
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

	it("hands a message back less and less often", async () => {
		const { worker } = workerOf(async () => {});
		await worker.stop(1_000);
		const delays: number[] = [];
		for (let attempts = 1; attempts <= 6; attempts++)
			await worker.accept(deliveryOf({ attempts, retry: async delay => void delays.push(delay) }));
		assert.deepEqual(delays, [250, 500, 1_000, 2_000, 2_500, 2_500]);
	});
});
