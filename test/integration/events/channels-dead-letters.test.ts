import assert from "node:assert/strict";
import { it } from "node:test";
import { type ConsumerDefinition, MAX_DATA_BYTES, type OutgoingMessage } from "../../../mixins/channels/transport.ts";
import { consumer, fact, onEachStreamPlace, run, streams } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

await onEachStreamPlace("Dead letters of channels", place => {
	it("C5: a message that fails for good becomes a dead letter with all its headers and the error", async t => {
		const url = await place.create();
		const { channels } = await run(t, url, {
			async handler() {
				throw Object.assign(new Error("Straße gesperrt\nsecond line"), { type: "ROAD_CLOSED" });
			}
		});
		const message = fact(7, { headers: { aggregate: "note:1", "x-request-id": "r1", traceparent: "tp" } });
		await channels.publish(message);
		await until("a dead letter", async () => (await channels.deadLetters.list()).length === 1);
		const [letter] = await channels.deadLetters.list();
		assert.ok(letter);
		assert.deepEqual(letter.headers, message.headers);
		assert.equal(letter.data, message.data);
		assert.equal(letter.error.message, "Straße gesperrt\nsecond line");
		assert.equal(letter.error.code, "ROAD_CLOSED");
		assert.match(letter.error.stack, /channels-dead-letters\.test\.ts/);
		assert.equal(letter.attempts, 3);
		assert.deepEqual([letter.consumer, letter.stream, letter.subject], ["reader", "FACTS", "fact.counted"]);
		assert.ok(Date.parse(letter.first_seen) <= Date.parse(letter.buried_at));
	});

	it("C5: a message is acknowledged only after its dead letter is stored", async t => {
		const url = await place.create();
		const definition = consumer({ maxAttempts: 1 });
		let refusals = 0;
		const { channels } = await run(t, url, {
			definition,
			async handler() {
				throw new Error("never");
			}
		});
		const { transport } = channels;
		const publish = transport.publish.bind(transport);
		t.mock.method(transport, "publish", (message: Parameters<typeof publish>[0]) =>
			message.stream === "DEAD" && ++refusals <= 6 ? Promise.reject(new Error("disk full")) : publish(message)
		);
		await channels.publish(fact(1));
		await until("a dead letter", async () => (await channels.deadLetters.list()).length === 1);
		await until("acknowledged", async () => (await transport.consumerState(definition)).pending === 0);
		assert.ok(refusals > 6);
		assert.equal((await channels.deadLetters.list()).length, 1);
	});

	it("C5: the largest message that may be published may also become a dead letter", async t => {
		const url = await place.create();
		const { channels } = await run(t, url, {
			async handler() {
				throw Object.assign(new Error("x".repeat(5_000)), { retryable: false });
			}
		});
		const data = (bytes: number) => ({ data: JSON.stringify("x".repeat(bytes - 2)) });
		await assert.rejects(channels.publish(fact(1, data(MAX_DATA_BYTES + 1))), { type: "MESSAGE_REFUSED" });
		await channels.publish(fact(2, data(MAX_DATA_BYTES)));
		await until("a dead letter", async () => (await channels.deadLetters.list()).length === 1);
		assert.equal((await channels.deadLetters.list())[0]?.data.length, MAX_DATA_BYTES);
	});

	it("C5: what is not JSON, or says that it is final, is not tried again", async t => {
		const url = await place.create();
		let handled = 0;
		const { channels } = await run(t, url, {
			async handler() {
				handled++;
				throw Object.assign(new Error("wrong for ever"), { retryable: false });
			}
		});
		await channels.publish(fact(1));
		await channels.publish(fact(2, { data: "{" }));
		await until("two dead letters", async () => (await channels.deadLetters.list()).length === 2);
		assert.equal(handled, 1);
	});

	it("C5: a replayed dead letter reaches its consumer only, under a new message id and the old event id", async t => {
		const url = await place.create();
		let broken = true;
		const seen: string[] = [];
		const other: string[] = [];
		const definition = consumer({ maxAttempts: 1 });
		const { channels } = await run(t, url, {
			definition,
			async handler(_, { id }) {
				if (broken) throw new Error("broken");
				seen.push(id);
			}
		});
		await run(t, url, {
			definition: consumer({ name: "other" }),
			handler: async (_, { id }) => void other.push(id)
		});
		const messages = [fact(1), fact(2)];
		for (const message of messages) await channels.publish(message);
		await until("two dead letters", async () => (await channels.deadLetters.list()).length === 2);
		broken = false;
		const [letter] = await channels.deadLetters.list({ limit: 1 });
		await channels.deadLetters.replay(letter?.id as number);
		await until("the first one", () => seen.length === 1);
		assert.equal((await channels.deadLetters.replayAll("reader")).length, 1);
		await until("the second one", () => seen.length === 2);
		assert.deepEqual(
			seen,
			messages.map(({ id }) => id)
		);
		assert.deepEqual(await channels.deadLetters.list(), []);
		const settled = async () => {
			const { waiting, pending } = await channels.transport.consumerState(consumer({ name: "other" }));
			return waiting + pending === 0;
		};
		await until("the other consumer is done", settled);
		assert.equal(other.length, 2);
		await assert.rejects(channels.deadLetters.replay(letter?.id as number), { type: "DEAD_LETTER_NOT_FOUND" });
	});

	it("C5: a dead letter that many replay at the same time is sent once, and those who come too late fail for nobody", async t => {
		const url = await place.create();
		let broken = true;
		const seen: string[] = [];
		const definition = consumer({ maxAttempts: 1 });
		const { channels } = await run(t, url, {
			definition,
			async handler(_, { id }) {
				if (broken) throw new Error("broken");
				seen.push(id);
			}
		});
		const messages = Array.from({ length: 5 }, (_, i) => fact(i));
		for (const message of messages) await channels.publish(message);
		await until("five dead letters", async () => (await channels.deadLetters.list()).length === 5);
		broken = false;
		const [letter] = await channels.deadLetters.list({ limit: 1 });
		const replays = await Promise.allSettled(
			Array.from({ length: 10 }, () => channels.deadLetters.replay(letter?.id as number))
		);
		for (const replay of replays)
			if (replay.status === "rejected") assert.equal(replay.reason.type, "DEAD_LETTER_NOT_FOUND");
		const all = await Promise.all(Array.from({ length: 5 }, () => channels.deadLetters.replayAll()));
		assert.equal(new Set(all.flat()).size, 4);
		const settled = async () => {
			const { waiting, pending } = await channels.transport.consumerState(definition);
			return waiting + pending === 0;
		};
		await until("all are handled", settled);
		assert.deepEqual(seen.toSorted(), messages.map(({ id }) => id).toSorted());
		assert.deepEqual(await channels.deadLetters.list(), []);
	});

	it("C5: a dead letter that nobody would get any more is not replayed, and does not hold up the others", async t => {
		const url = await place.create();
		const tables = { streams: [...streams, { name: "OLD", subjects: ["old.>"], maxAge: 3600 }] };
		const handler = () => Promise.reject(new Error("broken"));
		const before: [Partial<ConsumerDefinition>, Partial<OutgoingMessage>][] = [
			[{}, {}],
			[{}, { subject: "fact.measured" }],
			[{ stream: "OLD" }, { stream: "OLD", subject: "old.counted" }],
			[{ name: "retired", subject: "fact.retired" }, { subject: "fact.retired" }]
		];
		for (const [i, [changes, message]] of before.entries()) {
			const definition = consumer({ ...changes, maxAttempts: 1 });
			const { channels, stop } = await run(t, url, { ...tables, definition, handler });
			await channels.publish(fact(i, message));
			await until("its dead letter", async () => (await channels.deadLetters.list()).length === i + 1);
			await stop();
		}

		const { channels } = await run(t, url, { definition: consumer({ subject: "fact.counted" }) });
		const [good, ...others] = await channels.deadLetters.list();
		for (const { id } of others)
			await assert.rejects(channels.deadLetters.replay(id), { type: "DEAD_LETTER_UNDELIVERABLE", code: 409 });
		assert.deepEqual(await channels.deadLetters.replayAll(), [good?.id]);
		assert.deepEqual(await channels.deadLetters.list(), others);
	});

	it("C5: a discarded dead letter is gone", async t => {
		const url = await place.create();
		const { channels } = await run(t, url, {
			definition: consumer({ maxAttempts: 1 }),
			async handler() {
				throw new Error("broken");
			}
		});
		await channels.publish(fact(1));
		await until("a dead letter", async () => (await channels.deadLetters.list()).length === 1);
		const [letter] = await channels.deadLetters.list();
		await channels.deadLetters.discard(letter?.id as number);
		assert.deepEqual(await channels.deadLetters.list(), []);
	});
});
