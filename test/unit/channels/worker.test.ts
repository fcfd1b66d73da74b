import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Delivery } from "../../../mixins/channels/transport.ts";
import { Worker } from "../../../mixins/channels/worker.ts";
import { until } from "../../support/until.ts";

const definition = { name: "reader", stream: "FACTS", ackWait: 30, concurrency: 1 };
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

function workerOf(handle: (delivery: Delivery) => Promise<void>) {
	const warnings: string[] = [];
	const observer = { redelivered() {}, buried() {}, warn: (message: string) => warnings.push(message) };
	const worker = new Worker({ definition, handle, bury: async () => {}, observer });
	return { worker, warnings };
}

describe("A worker whose stream can not write", () => {
	it("goes on with the message that it can not keep, and says so", async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const { worker, warnings } = workerOf(() => promise);
		t.after(() => worker.stop(1_000));
		let isDone = false;
		void worker.accept(
			deliveryOf({
				ack: async () => {
					isDone = true;
				}
			})
		);
		await until(() => warnings.length >= 2);
		resolve();
		await until(() => isDone);
		assert.match(warnings[0] as string, /FACTS:1 could not be kept/);
	});

	it("lets a message go that it can not hand back, and says so", async () => {
		const { worker, warnings } = workerOf(async () => {});
		await worker.stop(1_000);
		await worker.accept(deliveryOf());
		assert.deepEqual(warnings, ["Message FACTS:1 could not be kept or handed back"]);
	});
});
