import assert from "node:assert/strict";
import { it } from "node:test";
import { Attempts } from "../../../mixins/channels/attempts.ts";
import { deliveryOf } from "../../support/worker.ts";

it("What a stream that was made anew hands out is not taken for the message that had its number before", async () => {
	const buried: number[] = [];
	const attempts = new Attempts({
		definition: { name: "reader", stream: "FACTS", maxAttempts: 2 },
		handle: async () => {
			throw new Error("broken");
		},
		bury: async ({ attempts }) => void buried.push(attempts),
		observer: { redelivered() {}, buried() {}, warn() {} }
	});
	const of = (attempts: number) => deliveryOf({ attempts, retry: async () => {} });
	for (const count of [1, 2, 3]) await attempts.handBack(of(count));

	for (const count of [1, 2]) {
		attempts.arrived(of(count));
		await attempts.process(of(count));
	}
	assert.deepEqual(buried, [2]);
});
