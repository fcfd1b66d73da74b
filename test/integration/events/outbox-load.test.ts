import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, upTo, type Writer } from "../../support/outbox.ts";
import { until } from "../../support/until.ts";

const NEVER = 3_600_000;

await onEachDatabase("An outbox under load", databases => {
	const create = () => outboxDatabase(databases);

	/** Publishes five rows at once, and 15 one after the other. @returns in how many batches */
	async function batches(t: TestContext, relay: { load: number; gather: number }): Promise<number> {
		const stream = new FakeStream();
		let reads = 0;
		const probe = (point: string) => {
			if (point === "read") reads++;
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, probe, relay });
		await writer.transaction(async transaction => {
			for (const n of upTo(5))
				await writer.outbox.add(transaction, { stream: "FACTS", subject: "fact.counted", payload: { n } });
		});
		await until("the first batch", () => stream.numbers.length === 5);
		for (let n = 6; n <= 20; n++) await writer.write([n]);
		await until("all published", () => stream.numbers.length === 20);
		return reads;
	}

	it("gathers rows for the next batch", async t => {
		const reads = await batches(t, { load: 0, gather: 500 });
		assert.ok(reads < 6, `${reads} batches for 16 transactions`);
	});

	it("lets nothing wait for others, as long as fewer come than are taken for load", async t => {
		await batches(t, { load: Number.POSITIVE_INFINITY, gather: NEVER });
	});

	it("takes a few rows for a coincidence, however quickly they came", async t => {
		const stream = new FakeStream();
		const relay = { load: 0, gather: NEVER };
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay });
		for (const n of upTo(5)) {
			await writer.write([n]);
			await until(`number ${n}`, () => stream.numbers.length === n);
		}
	});

	it("marks in time what was published, where a batch takes longer than the lease and another relay waits", async t => {
		const url = await create();
		const stream = new FakeStream();
		let asked = 0;
		stream.before = async () => {
			asked++;
			await delay(8);
		};
		const relay = { lease: 400 };
		const writers = [1, 2].map(() => startWriter(t, url, { publisher: () => stream, relay }));
		const [writer] = (await Promise.all(writers)) as [Writer];
		await writer.transaction(async transaction => {
			for (const n of upTo(150))
				await writer.outbox.add(transaction, {
					stream: "FACTS",
					subject: "fact.counted",
					payload: { n },
					aggregate: "one"
				});
		});
		await until("all are marked", async () => (await writer.outbox.backlog()).pending === 0);
		assert.deepEqual([asked, stream.numbers], [150, upTo(150)]);
	});

	it("is left behind at a stop where its stream does not answer", async t => {
		const stream = new FakeStream();
		const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
		const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
		stream.before = () => {
			ask();
			return answered;
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		await writer.write([1]);
		await asked;
		await writer.stop();
		answer();
	});
});
