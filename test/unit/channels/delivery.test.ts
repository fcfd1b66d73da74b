import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Attempts } from "../../../mixins/channels/attempts.ts";
import { DeadLetters } from "../../../mixins/channels/dead-letters.ts";
import { Held } from "../../../mixins/channels/held.ts";
import { deliveryOf } from "../../support/worker.ts";

describe("A message that was delivered", () => {
	it("the copy of a message that is let go leaves the other one", () => {
		const held = new Held();
		const [one, other] = [deliveryOf(), deliveryOf({ attempts: 2 })];
		held.add(one);
		held.add(other);
		held.delete(one);
		assert.deepEqual([held.size, held.all()], [1, [other]]);
		held.delete(other);
		assert.equal(held.size, 0);
	});

	it("a message whose acknowledgement fails comes again, also where it was handled with others", async () => {
		const back: number[] = [];
		const definition = { name: "reader", stream: "FACTS", orderBy: "source", together: 5, retryDelay: 10 } as never;
		const observer = { redelivered() {}, buried() {}, warn() {} } as never;
		const attempts = new Attempts({ definition, handle: async () => {}, bury: async () => {}, observer });
		const failing = deliveryOf({ ack: () => Promise.reject(new Error("lost")), retry: async ms => void back.push(ms) });
		await attempts.processTogether([failing, deliveryOf({ seq: 2 })]);
		assert.equal(back.length, 1);
	});

	it("has one dead letter of each consumer, and another one where the stream was made anew and gives its number again", async () => {
		const ids: string[] = [];
		const streams = {
			transport: {},
			declare: async () => {},
			publish: async ({ id }: { id: string }) => void ids.push(id)
		};
		const letters = new DeadLetters(streams as never);
		const first = deliveryOf({ headers: { "event-id": "A" } });
		await letters.bury(first, "reader", new Error("no"));
		await letters.bury({ ...first, attempts: 9 }, "reader", new Error("no again"));
		assert.equal(new Set(ids).size, 1);
		await letters.bury(first, "other", new Error("no"));
		await letters.bury(deliveryOf({ headers: { "event-id": "B" } }), "reader", new Error("no"));
		await letters.bury(deliveryOf({ time: 1 }), "reader", new Error("no"));
		await letters.bury(deliveryOf({ time: 2 }), "reader", new Error("no"));
		assert.equal(new Set(ids).size, 5);
	});

	it("an error whose text is no valid Unicode can be buried", async () => {
		const published: unknown[] = [];
		const streams = {
			transport: {},
			declare: async () => {},
			publish: async (message: unknown) => void published.push(message)
		};
		await new DeadLetters(streams as never).bury(deliveryOf(), "reader", new Error("half of a 😀: \ud83d"));
		assert.equal(published.length, 1);
	});
});
