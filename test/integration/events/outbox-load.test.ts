import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, prepare, startWriter } from "../../support/outbox.ts";
import { until } from "../../support/until.ts";

const NEVER = 3_600_000;
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

await onEachDatabase("An outbox under load", databases => {
	const create = async () => {
		const url = await databases.create();
		await prepare(url);
		return url;
	};

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
});
