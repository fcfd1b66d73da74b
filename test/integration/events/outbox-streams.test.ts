import assert from "node:assert/strict";
import { it } from "node:test";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, unavailable, upTo } from "../../support/outbox.ts";
import { until } from "../../support/until.ts";

await onEachDatabase("The streams of an outbox", databases => {
	const create = () => outboxDatabase(databases);

	it("rows for a stream that this process does not know wait for one that does, and hold up nobody", async t => {
		const url = await create();
		const newer = new FakeStream();
		newer.before = () => Promise.reject(unavailable());
		const first = await startWriter(t, url, { publisher: () => newer });
		await first.write([1], { stream: "NEWER" });
		await first.db.query(
			"INSERT INTO outbox_streams (stream, created, last_seq, last_sequence) VALUES ('OLDER', '', 1, 1)"
		);
		await first.stop();
		const stream = new FakeStream();
		stream.streamState = async name => {
			if (name !== "FACTS") throw new Error(`No stream ${name}`);
			return { created: stream.created, lastSeq: stream.lastSeq };
		};
		const publisher = () => Object.assign(stream, { streams: ["FACTS"] });
		const second = await startWriter(t, url, { publisher, relay: { watch: 20 } });
		await second.write([2]);
		await until("the known one", () => stream.numbers.includes(2));
		await until("it is marked, and the other one is not", async () => (await second.outbox.backlog()).pending === 1);
		assert.deepEqual(stream.numbers, [2]);
	});

	it("a fact that no stream takes fails where it is written", async t => {
		const check = () => {
			throw new Error("No stream takes it");
		};
		const writer = await startWriter(t, await create(), {
			publisher: () => Object.assign(new FakeStream(), { check })
		});
		await assert.rejects(writer.write([1]), /No stream takes it/);
		assert.deepEqual(await writer.rows("SELECT id FROM outbox"), []);
	});

	it("C10: a stream that went backwards raises an alarm and is filled again, also while nothing is written", async t => {
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { watch: 50 } });
		await writer.write(upTo(5));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		stream.wipe();
		await until("all messages again", () => stream.stored.length === 5);
		assert.deepEqual(stream.numbers, upTo(5));
		assert.match(writer.errors.join("\n"), /Stream FACTS went backwards/);
	});

	it("C10: a stream that went backwards while no relay ran is found by the next one", async t => {
		const stream = new FakeStream();
		const url = await create();
		const first = await startWriter(t, url, { publisher: () => stream });
		await first.write(upTo(5));
		await until("all marked", async () => (await first.outbox.backlog()).pending === 0);
		await first.stop();
		stream.wipe();
		const second = await startWriter(t, url, { publisher: () => stream });
		await until("all messages again", () => stream.stored.length === 5);
		assert.match(second.errors.join("\n"), /Stream FACTS went backwards/);
	});
});
