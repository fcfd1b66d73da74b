import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ChannelMessage } from "../../../mixins/channels.mixin.ts";
import { consumer, fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);

await onEachStreamPlace("Messages of one key that come faster than they are handled", place => {
	it("hold nobody up while they are stuck, and all of them are handled afterwards", async t => {
		const url = await place.create();
		const definition = consumer({ orderBy: "source", concurrency: 2, retryDelay: 10 });
		const release = Promise.withResolvers<void>();
		const handled: Record<string, number[]> = { stuck: [], free: [] };
		const { channels } = await run(t, url, {
			definition,
			async handler({ params: { n } }, { headers: { source } }: ChannelMessage) {
				if (source === "stuck") await release.promise;
				handled[source as string]?.push(n);
			}
		});
		for (let n = 1; n <= 100; n++) await channels.publish(fact(n, { headers: { source: "stuck" } }));
		for (let n = 1; n <= 20; n++) await channels.publish(fact(n, { headers: { source: "free" } }));
		await until("the others are handled", () => handled.free?.length === 20);
		assert.deepEqual(handled, { stuck: [], free: upTo(20) });

		release.resolve();
		await until("all are handled", () => handled.stuck?.length === 100);
		// What was sent away for a while comes later than others.
		assert.deepEqual(
			handled.stuck?.toSorted((a, b) => a - b),
			upTo(100)
		);
		assert.deepEqual(await channels.deadLetters.list(), []);
	});

	it("hold others up for a moment only where they are slow, and make nobody come twice", {
		timeout: 60_000
	}, async t => {
		const url = await place.create();
		const definition = consumer({ orderBy: "source", concurrency: 10, ackWait: 3_000 });
		const writer = await run(t, url, { definition });
		const publish = (source: string, n: number) => writer.channels.publish(fact(n, { headers: { source } }));
		// As many as may wait; then further ones, of which each fifth is another source's.
		for (let n = 1; n <= 230; n++) await publish("slow", n);
		for (let n = 1; n <= 100; n++) await publish(n % 5 === 0 ? `quick ${n}` : "slow", 1_000 + n);
		let slow = 0;
		const quick: number[] = [];
		const reader = await run(t, url, {
			definition,
			async handler({ params: { n } }, { headers: { source } }: ChannelMessage) {
				if (source === "slow") await delay(180);
				if (source === "slow") slow++;
				else quick.push(n);
			}
		});
		await until("the others are handled", () => new Set(quick).size === 20, 50_000);
		assert.ok(slow < 50, `${slow} slow ones went before`);
		await reader.stop();
		assert.equal(quick.length, 20);
	});

	it("are as many as may be unacknowledged, and the retry that they wait for comes nevertheless", async t => {
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
		assert.deepEqual(handled, upTo(60));
	});
});
