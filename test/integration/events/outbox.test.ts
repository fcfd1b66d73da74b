import assert from "node:assert/strict";
import { it } from "node:test";
import { ChannelError } from "../../../mixins/channels/transport.ts";
import { nowOf } from "../../../mixins/db/clock.ts";
import { acquire } from "../../../mixins/db/connection.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, unavailable, upTo } from "../../support/outbox.ts";
import { until } from "../../support/until.ts";

const NEVER = 3_600_000;

await onEachDatabase("The outbox", databases => {
	const create = () => outboxDatabase(databases);

	it("publishes what a transaction committed at once (nudge), and nothing of one that was rolled back", async t => {
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { poll: NEVER } });
		await writer.write([1]);
		const rolledBack = writer.transaction(async transaction => {
			await writer.outbox.add(transaction, { stream: "FACTS", subject: "fact.counted", payload: { n: 2 } });
			throw new Error("no");
		});
		await assert.rejects(rolledBack, /no/);
		await writer.write([3]);
		await until("two messages", () => stream.stored.length === 2);
		assert.deepEqual(stream.numbers, [1, 3]);
	});

	it("finds a row that nobody told of (poll)", async t => {
		const stream = new FakeStream();
		const url = await create();
		const writer = await startWriter(t, url, { publisher: () => stream, relay: { poll: 50 } });
		await until(
			"the lease",
			async () => (await writer.rows("SELECT 1 FROM outbox_relay WHERE epoch = 1")).length === 1
		);
		await writer.db.query(
			`INSERT INTO outbox (msg_id, stream, subject, payload, headers, created_at, attempts)
			VALUES ('01JZZZZZZZZZZZZZZZZZZZZZZZ', 'FACTS', 'fact.counted', '{"n":5}', '{}', 0, 0)`
		);
		await until("the message", () => stream.stored.length === 1);
	});

	it("gets a new relay although the lease of the last one seems to last an hour: the database's clock was set back", async t => {
		const stream = new FakeStream();
		const url = await create();
		const { sequelize, release } = acquire(url);
		t.after(release);
		await sequelize.query(
			`INSERT INTO outbox_relay (name, epoch, owner, lease_until, republish)
			VALUES ('relay', 7, 'dead', ${nowOf(sequelize)} + ${NEVER}, 0)`
		);
		const writer = await startWriter(t, url, { publisher: () => stream });
		await writer.write([1]);
		await until("the message", () => stream.stored.length === 1);
		assert.deepEqual(await writer.rows("SELECT epoch FROM outbox_relay"), [{ epoch: 8 }]);
	});

	it("finding 1: publishes the row of a slower transaction though a later id was published before", async t => {
		if (databases.dialect === "sqlite") return t.skip("SQLite has one writer at a time");
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		await writer.transaction(async slow => {
			await writer.outbox.add(slow, { stream: "FACTS", subject: "fact.counted", payload: { n: 1 } });
			await writer.write([2]);
			await until("the faster one", () => stream.stored.length === 1);
		});
		await until("the slower one", () => stream.stored.length === 2);
		assert.deepEqual(stream.numbers, [2, 1]);
	});

	it("findings 2 and 3: business transactions beside two relays get no deadlock, and each aggregate keeps its order", async t => {
		const stream = new FakeStream();
		const url = await create();
		const writers = [
			await startWriter(t, url, { publisher: () => stream }),
			await startWriter(t, url, { publisher: () => stream })
		];
		const failed: unknown[] = [];
		const load = upTo(8).map(async aggregate => {
			const writer = writers[aggregate % 2];
			for (const n of upTo(25))
				await writer?.write([n], { aggregate: `a${aggregate}` }).catch(error => failed.push(error));
		});
		await Promise.all(load);
		await until("all messages", () => stream.stored.length === 200);
		assert.deepEqual(failed, []);
		const byAggregate = Map.groupBy(stream.stored, message => message.headers.aggregate);
		for (const messages of byAggregate.values())
			assert.deepEqual(
				messages.map(({ data }) => JSON.parse(data).n),
				upTo(25)
			);
	});

	it("finding 4: keeps each aggregate's order when publishing fails in the middle of a batch", async t => {
		const stream = new FakeStream();
		let calls = 0;
		stream.before = () => {
			if (++calls % 3 === 0) throw unavailable();
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		for (const n of upTo(20)) for (const aggregate of ["a", "b"]) await writer.write([n], { aggregate });
		await until("all messages", () => stream.stored.length === 40);
		for (const messages of Map.groupBy(stream.stored, message => message.headers.aggregate).values())
			assert.deepEqual(
				messages.map(({ data }) => JSON.parse(data).n),
				upTo(20)
			);
	});

	it("finding 5: a crash between publishing and marking leaves each message once in the stream (message id)", async t => {
		const stream = new FakeStream();
		let crashes = 0;
		const probe = (point: string) => {
			if (point === "published" && ++crashes <= 3) throw new Error("crash");
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, probe, relay: { batch: 5 } });
		await writer.write(upTo(20));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		assert.deepEqual(stream.numbers, upTo(20));
		assert.ok(crashes > 3);
	});

	it("one relay works, another takes over when its lease is over, and the first can not write any more", async t => {
		const stream = new FakeStream();
		const url = await create();
		const frozen = Promise.withResolvers<void>();
		const reached = Promise.withResolvers<void>();
		let first = true;
		const probe = async (point: string) => {
			if (point !== "read" || !first) return;
			first = false;
			reached.resolve();
			await frozen.promise;
		};
		const writer = await startWriter(t, url, { publisher: () => stream, probe });
		await writer.write([1]);
		await reached.promise;
		const second = await startWriter(t, url, { publisher: () => stream });
		await until("the second one has it", () => stream.stored.length === 1);
		await until("marked", async () => (await writer.outbox.backlog()).pending === 0);
		frozen.resolve();
		await second.write([2]);
		await until("the next one", () => stream.stored.length === 2);
		const [relay] = await writer.rows<{ epoch: number }>("SELECT epoch FROM outbox_relay");
		assert.equal(Number(relay?.epoch), 2);
		assert.deepEqual(stream.numbers, [1, 2]);
	});

	it("finding 6: a row that can not be published is set aside with an alarm, and the rest goes on", async t => {
		const stream = new FakeStream();
		let refuse = true;
		stream.before = ({ data }) => {
			if (refuse && JSON.parse(data).n === 2) throw new ChannelError("MESSAGE_REFUSED", "too large");
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { poll: 10 } });
		await writer.write([1, 2, 3], { aggregate: "a" });
		await until("set aside", async () => (await writer.outbox.backlog()).failed === 1);
		await until("the rest", () => stream.stored.length === 2);
		assert.deepEqual(stream.numbers, [1, 3]);
		assert.match(writer.errors.join("\n"), /can not be published and was set aside: .*too large/);

		refuse = false;
		assert.equal(await writer.outbox.retryFailed(), 1);
		await until("the refused one", () => stream.stored.length === 3);
	});

	it("an outage does not count against rows", async t => {
		const stream = new FakeStream();
		let away = 12;
		stream.before = () => {
			if (away-- > 0) throw unavailable();
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { pause: 1 } });
		await writer.write([1]);
		await until("the message", () => stream.stored.length === 1);
		const [row] = await writer.rows<{ attempts: number }>("SELECT attempts FROM outbox");
		assert.equal(row?.attempts, 0);
	});

	it("numbers its rows without a gap, whatever was rolled back, and a republish keeps the numbers and the order", async t => {
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		for (const n of upTo(10)) {
			await writer.write([n]);
			await writer
				.transaction(async transaction => {
					await writer.outbox.add(transaction, { stream: "FACTS", subject: "fact.counted", payload: {} });
					throw new Error("rolled back");
				})
				.catch(() => {});
		}
		await until("all messages", () => stream.stored.length === 10);
		const sequences = () => stream.stored.map(({ headers }) => Number(headers["source-seq"]));
		assert.deepEqual(sequences(), upTo(10));

		stream.stored.length = 0;
		await writer.outbox.republish();
		await until("all messages again", () => stream.stored.length === 10);
		assert.deepEqual([stream.numbers, sequences()], [upTo(10), upTo(10)]);
	});

	it("publishes very many rows again in slices, before what is written meanwhile", async t => {
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		await writer.write([1]);
		// The others are copies of it.
		await until("the first is marked", async () => (await writer.outbox.backlog()).pending === 0);
		// In the first slice of 5,000 ids, the second, the fourth, and the fifth; the third is empty.
		const ids = [4_999, 5_000, 17_000, 20_000];
		for (const id of ids)
			await writer.db.query(
				`INSERT INTO outbox (id, msg_id, stream, subject, aggregate, version, payload, headers, sequence, created_at, published_at, attempts)
				SELECT ${id}, '${String(id).padStart(26, "0")}', stream, subject, aggregate, version, payload, headers, ${id}, created_at, published_at, 0
				FROM outbox WHERE id = 1`
			);
		stream.stored.length = 0;
		const written = Promise.withResolvers<void>();
		stream.before = () => written.promise;
		await writer.outbox.republish();
		await writer.write([2]);
		written.resolve();
		await until("all of them", () => stream.stored.length === 6);
		assert.deepEqual(stream.stored.map(({ headers }) => Number(headers["source-seq"])).slice(0, 5), [1, ...ids]);
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		const [relay] = await writer.rows<{ republish: number }>("SELECT republish FROM outbox_relay");
		assert.equal(relay?.republish, 0);
	});

	it("forgets published rows after their time, and never one that was not published", async t => {
		const stream = new FakeStream();
		const writer = await startWriter(t, await create(), { publisher: () => stream, retention: -1_000 });
		await writer.write(upTo(3));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		stream.before = () => {
			throw unavailable();
		};
		await writer.write([4]);
		assert.equal(await writer.outbox.prune(), 3);
		assert.equal((await writer.outbox.backlog()).pending, 1);
	});
});
