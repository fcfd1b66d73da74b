import assert from "node:assert/strict";
import { it } from "node:test";
import type { ChannelMessage } from "../../../mixins/channels.mixin.ts";
import { consumer, fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

const FACTS = 300;

await onEachStreamPlace("Messages of one key that come faster than they are handled", place => {
	it("are handed out once, and handled together as before, however many wait", async t => {
		const url = await place.create();
		const definition = consumer({ orderBy: "source", concurrency: 2, together: 10 });
		const stalled = Promise.withResolvers<void>();
		const handled: number[] = [];
		const again: number[] = [];
		const batches: number[] = [];
		let running = 0;
		const { channels } = await run(t, url, {
			definition,
			async handler({ params: { n } }, { attempts }: ChannelMessage) {
				if (attempts > 1) again.push(n);
				batches.push(++running);
				await stalled.promise;
				running--;
				handled.push(n);
			}
		});
		for (let n = 1; n <= FACTS; n++) await channels.publish(fact(n, { headers: { source: "note" } }));
		await until("all wait in the process", async () => {
			const { waiting, pending } = await channels.transport.consumerState(definition);
			return waiting === 0 && pending === FACTS;
		});
		stalled.resolve();
		await until("all were handled", () => handled.length === FACTS);
		assert.deepEqual(again, []);
		assert.deepEqual(
			handled,
			Array.from({ length: FACTS }, (_, i) => i + 1)
		);
		assert.ok(batches.filter(size => size === 10).length >= FACTS / 10 - 2, "they came in full batches");
	});

	it("fill the consumer's hands, and the retry that all of them wait for comes nevertheless", async t => {
		const url = await place.create();
		const definition = consumer({ orderBy: "source", concurrency: 2, maxAckPending: 20 });
		const handled: number[] = [];
		const attempted: string[] = [];
		const { channels } = await run(t, url, {
			definition,
			async handler({ params: { n } }, { attempts }: ChannelMessage) {
				if (n === 1 || attempts > 1) attempted.push(`${n}: ${attempts}`);
				if (n === 1 && attempts < 3) throw new Error("at first");
				handled.push(n);
			}
		});
		for (let n = 1; n <= 60; n++) await channels.publish(fact(n, { headers: { source: "note" } }));
		await until("all were handled", () => handled.length === 60);
		assert.deepEqual(attempted, ["1: 1", "1: 2", "1: 3"]);
		assert.deepEqual(
			handled,
			Array.from({ length: 60 }, (_, i) => i + 1)
		);
	});
});
