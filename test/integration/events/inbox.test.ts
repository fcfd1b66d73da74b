import assert from "node:assert/strict";
import { it } from "node:test";
import { QueryTypes, type Transaction } from "sequelize";
import type { InboxMessage } from "../../../mixins/inbox.mixin.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, prepare, startWriter, type Writer } from "../../support/outbox.ts";

const message = (id: string, version?: number): InboxMessage => ({
	id,
	headers: { aggregate: "a", ...(version !== undefined && { version: String(version) }) }
});

await onEachDatabase("The inbox", databases => {
	const start = async (t: { after(end: () => Promise<void>): void }) => {
		const url = await databases.create();
		await prepare(url);
		const writer = await startWriter(t, url, { publisher: () => new FakeStream() });
		await writer.db.query("CREATE TABLE effects (n INTEGER NOT NULL)");
		return writer;
	};
	const effect = (writer: Writer, n: number) => async (transaction: Transaction) => {
		await writer.db.query("INSERT INTO effects (n) VALUES (:n)", { replacements: { n }, transaction });
	};
	const effects = async (writer: Writer) =>
		(await writer.db.query<{ n: number }>("SELECT n FROM effects ORDER BY n", { type: QueryTypes.SELECT })).map(
			({ n }) => n
		);

	it("once: of ten deliveries at the same time, one takes effect", async t => {
		const writer = await start(t);
		const outcomes = await Promise.all(
			Array.from({ length: 10 }, () => writer.inbox.once("reader", message("m1"), effect(writer, 1)))
		);
		assert.equal(outcomes.filter(outcome => outcome === "applied").length, 1);
		assert.deepEqual(await effects(writer), [1]);
	});

	it("once: another consumer has its own effect, and ids that differ in case are two", async t => {
		const writer = await start(t);
		await writer.inbox.once("reader", message("m1"), effect(writer, 1));
		await writer.inbox.once("other", message("m1"), effect(writer, 2));
		await writer.inbox.once("reader", message("M1"), effect(writer, 3));
		assert.deepEqual(await effects(writer), [1, 2, 3]);
	});

	it("once: a failed effect leaves no trace, so that the message may come again", async t => {
		const writer = await start(t);
		const failing = writer.inbox.once("reader", message("m1"), async transaction => {
			await effect(writer, 1)(transaction);
			throw new Error("no");
		});
		await assert.rejects(failing, /no/);
		assert.deepEqual(await effects(writer), []);
		assert.equal(await writer.inbox.once("reader", message("m1"), effect(writer, 2)), "applied");
	});

	it("once: an id that is too long is an error, not somebody else's id", async t => {
		if (databases.dialect === "sqlite") return t.skip("SQLite does not cut text");
		const writer = await start(t);
		await assert.rejects(writer.inbox.once("reader", message("x".repeat(65)), effect(writer, 1)), /Data too long/);
		assert.deepEqual(await effects(writer), []);
	});

	it("newer: a version takes effect unless a newer one has, whatever the order", async t => {
		const writer = await start(t);
		const outcomes: string[] = [];
		for (const version of [2, 1, 4, 4, 3, 5])
			outcomes.push(await writer.inbox.newer("reader", message(`m${version}`, version), effect(writer, version)));
		assert.deepEqual(outcomes, ["applied", "stale", "applied", "stale", "stale", "applied"]);
		assert.deepEqual(await effects(writer), [2, 4, 5]);
	});

	it("newer: of the same version ten times at once, one takes effect", async t => {
		const writer = await start(t);
		await Promise.all(
			Array.from({ length: 10 }, () => writer.inbox.newer("reader", message("m7", 7), effect(writer, 7)))
		);
		assert.deepEqual(await effects(writer), [7]);
	});

	it("inOrder: a version that comes too early is refused, and each takes effect once", async t => {
		const writer = await start(t);
		const apply = (version: number) =>
			writer.inbox.inOrder("reader", message(`m${version}`, version), effect(writer, version));
		await assert.rejects(apply(2), { type: "OUT_OF_ORDER" });
		assert.equal(await apply(1), "applied");
		await assert.rejects(apply(3), { type: "OUT_OF_ORDER" });
		assert.equal(await apply(2), "applied");
		assert.equal(await apply(1), "stale");
		assert.equal(await apply(3), "applied");
		assert.deepEqual(await effects(writer), [1, 2, 3]);
	});

	it("a message without a version is wrong for ever, and not tried again", async t => {
		const writer = await start(t);
		await assert.rejects(writer.inbox.newer("reader", message("m"), effect(writer, 1)), { retryable: false });
	});

	it("forgets ids after their time", async t => {
		const writer = await start(t);
		await writer.inbox.once("reader", message("m1"), effect(writer, 1));
		assert.equal(await writer.inbox.prune(60_000), 0);
		assert.equal(await writer.inbox.prune(-1_000), 1);
		const many = Array.from({ length: 1_200 }, (_, i) => `('reader', 'old ${i}', 0)`).join(", ");
		await writer.db.query(`INSERT INTO inbox (consumer, msg_id, received_at) VALUES ${many}`);
		assert.equal(await writer.inbox.prune(60_000), 1_200);
	});
});
