import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ChannelMessage } from "../../../mixins/channels.mixin.ts";
import { consumer, fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

await onEachStreamPlace("Channels", place => {
	it("C1: what is published before any consumer exists is delivered to the first one", async t => {
		const url = await place.create();
		const writer = await run(t, url);
		for (const n of [1, 2, 3]) await writer.channels.publish(fact(n));

		const seen: number[] = [];
		await run(t, url, { handler: async ctx => void seen.push(ctx.params.n) });
		await until("three messages", () => seen.length === 3);
		assert.deepEqual(seen, [1, 2, 3]);
	});

	it("C1: a handler for a consumer that no table names keeps the service from being created", async t => {
		const url = await place.create();
		const unknown = { schema: { channels: { nobody: async () => {} } } };
		await assert.rejects(run(t, url, unknown), /handles 'nobody', which is no consumer/);
	});

	it("C2: at most `concurrency` handlers run at once", async t => {
		const url = await place.create();
		let running = 0;
		let most = 0;
		let done = 0;
		const { channels } = await run(t, url, {
			definition: consumer({ concurrency: 3 }),
			async handler() {
				most = Math.max(most, ++running);
				await delay(10);
				running--;
				done++;
			}
		});
		await Promise.all(Array.from({ length: 20 }, (_, n) => channels.publish(fact(n))));
		await until("twenty messages", () => done === 20);
		assert.equal(most, 3);
	});

	it("C2: a handler that takes longer than the wait for its acknowledgement gets the message once", async t => {
		const url = await place.create();
		const definition = consumer({ ackWait: 600 });
		const attempts: number[] = [];
		const finished = Promise.withResolvers<void>();
		const { channels } = await run(t, url, {
			definition,
			async handler(_, message) {
				attempts.push(message.attempts);
				await delay(2_000);
				finished.resolve();
			}
		});
		await channels.publish(fact(1));
		await finished.promise;
		await until("acknowledged", async () => (await channels.transport.consumerState(definition)).pending === 0);
		assert.deepEqual(attempts, [1]);
	});

	it("C3: a message that fails comes again after growing delays, with its attempts counted", async t => {
		const url = await place.create();
		const seen: { attempts: number; at: number }[] = [];
		const { channels } = await run(t, url, {
			definition: consumer({ retryDelay: 100, maxAttempts: 5 }),
			async handler(_, { attempts }) {
				seen.push({ attempts, at: performance.now() });
				if (attempts < 4) throw new Error("not yet");
			}
		});
		await channels.publish(fact(1));
		await until("four attempts", () => seen.length === 4);
		assert.deepEqual(
			seen.map(({ attempts }) => attempts),
			[1, 2, 3, 4]
		);
		const gaps = seen.slice(1).map(({ at }, i) => at - (seen[i]?.at ?? 0));
		for (const [i, least] of [75, 150, 300].entries())
			assert.ok((gaps[i] as number) >= least - 5, `gap ${i + 1} is ${gaps[i]} ms, less than ${least}`);
	});

	it("C6: a publish resolves when the message is stored, and rejects on a stopped service", async t => {
		const url = await place.create();
		const { channels, stop } = await run(t, url);
		const { seq } = await channels.publish(fact(1));
		assert.equal((await channels.transport.next("FACTS", seq, ">"))?.data, '{"n":1}');
		await stop();
		await assert.rejects(channels.publish(fact(2)), { type: "CHANNELS_STOPPING" });
	});

	it("C6: a message that the stream does not take is refused, not dropped", async t => {
		const url = await place.create();
		const { channels } = await run(t, url);
		const large = fact(1, { data: JSON.stringify({ text: "x".repeat(2_000_000) }) });
		await assert.rejects(channels.publish(large), { type: "MESSAGE_REFUSED" });
		await assert.rejects(channels.publish(fact(1, { subject: "nobody.cares" })), { type: "STREAM_NOT_FOUND" });
	});

	it("stores a message id once", async t => {
		const url = await place.create();
		const { channels } = await run(t, url);
		const message = fact(1);
		const first = await channels.publish(message);
		const second = await channels.publish(message);
		assert.deepEqual([first.duplicate, second.duplicate], [false, true]);
		assert.equal(first.seq, second.seq);
	});

	it("C8: a stopping service ends its handlers, and another one gets the rest: each message takes effect once", async t => {
		const url = await place.create();
		const definition = consumer({ concurrency: 4, ackWait: 10_000 });
		const effects: number[] = [];
		const started = Promise.withResolvers<void>();
		const first = await run(t, url, {
			definition,
			async handler(ctx) {
				started.resolve();
				await delay(50);
				effects.push(ctx.params.n);
			}
		});
		const numbers = Array.from({ length: 40 }, (_, n) => n);
		await Promise.all(numbers.map(n => first.channels.publish(fact(n))));
		await started.promise;
		await first.stop();
		const before = effects.length;
		assert.ok(before >= 4 && before < 40, `${before} effects at the stop`);

		const second = await run(t, url, { definition, handler: async ctx => void effects.push(ctx.params.n) });
		await until("all effects", () => effects.length >= 40);
		await until("nothing left", async () => {
			const { waiting, pending } = await second.channels.transport.consumerState(definition);
			return waiting + pending === 0;
		});
		assert.deepEqual(
			effects.toSorted((a, b) => a - b),
			numbers
		);
	});

	it("handles the messages of one aggregate in order though some fail at first", async t => {
		const url = await place.create();
		const done = new Map<string, number[]>();
		const { channels } = await run(t, url, {
			async handler(ctx, { headers, attempts }: ChannelMessage) {
				if (ctx.params.n % 3 === 1 && attempts === 1) throw new Error("at first");
				const aggregate = headers.aggregate as string;
				done.set(aggregate, [...(done.get(aggregate) ?? []), ctx.params.n]);
			}
		});
		const aggregates = ["a", "b", "c", "d"];
		const numbers = Array.from({ length: 12 }, (_, n) => n);
		for (const n of numbers)
			for (const aggregate of aggregates) await channels.publish(fact(n, { headers: { aggregate } }));
		await until("all", () => aggregates.every(aggregate => done.get(aggregate)?.length === numbers.length));
		for (const aggregate of aggregates) assert.deepEqual(done.get(aggregate), numbers, aggregate);
	});

	it("keeps what came before its predecessor, and handles it in order once that has come", async t => {
		const url = await place.create();
		const done: number[] = [];
		const { channels } = await run(t, url, {
			async handler(ctx) {
				if (ctx.params.n !== done.length + 1) throw Object.assign(new Error("too early"), { waitsForOthers: true });
				done.push(ctx.params.n);
			}
		});
		for (const n of [5, 3, 4, 2, 1])
			await channels.publish(fact(n, { headers: { aggregate: "a", version: String(n) } }));
		await until("all", () => done.length === 5);
		assert.deepEqual(done, [1, 2, 3, 4, 5]);
		assert.deepEqual(await channels.deadLetters.list(), []);
	});
});
