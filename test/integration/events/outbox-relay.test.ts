import assert from "node:assert/strict";
import { it } from "node:test";
import { ChannelError } from "../../../mixins/channels/transport.ts";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import { Relay, type RelaySettings } from "../../../mixins/outbox/relay.ts";
import { OutboxStore } from "../../../mixins/outbox/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, upTo, type Writer } from "../../support/outbox.ts";
import { until } from "../../support/until.ts";

/** What the stream was sent, also what it had already. */
function sentTo(stream: FakeStream): number[] {
	const sent: number[] = [];
	stream.before = ({ data }) => void sent.push(JSON.parse(data).n);
	return sent;
}

/** Writes facts of one aggregate in one transaction. */
function writeTogether(writer: Writer, numbers: readonly number[]): Promise<void> {
	return writer.transaction(async transaction => {
		for (const n of numbers) {
			const fact = { stream: "FACTS", subject: "fact.counted", payload: { n }, aggregate: "a" };
			await writer.outbox.add(transaction, fact);
		}
	});
}

await onEachDatabase("The relay of an outbox", databases => {
	const create = () => outboxDatabase(databases);

	it("relays that start together on new tables do not stumble over each other", async t => {
		const { sequelize, release } = acquire(await create());
		t.after(release);
		const claim = (owner: string) =>
			new OutboxStore(sequelize, work => runInTransaction(sequelize, work)).claim(owner, 10_000);
		const epochs = await Promise.all(["a", "b", "c"].map(claim));
		assert.deepEqual(
			epochs.filter(epoch => epoch !== undefined),
			[1]
		);
	});

	it("a setting that is undefined has its default", async t => {
		const stream = new FakeStream();
		const unset = { batch: undefined, poll: undefined } as Partial<RelaySettings>;
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: unset });
		await writer.write(upTo(2));
		await until("all are published", () => stream.stored.length === 2);
	});

	it("looks at its streams before it publishes for the first time, however young the process is", async t => {
		const stream = new FakeStream();
		const url = await create();
		const first = await startWriter(t, url, { publisher: () => stream });
		await first.write(upTo(3));
		await until("all marked", async () => (await first.outbox.backlog()).pending === 0);
		await first.stop();
		stream.wipe();
		const second = await startWriter(t, url, { publisher: () => stream });
		await second.write([4]);
		await until("all messages", () => stream.stored.length === 4);
		assert.deepEqual(stream.numbers, upTo(4));
	});

	it("marks what it has published when it stops: the next one does not send it again", async t => {
		const stream = new FakeStream();
		const sent = sentTo(stream);
		const url = await create();
		const stop = t.mock.method(Relay.prototype, "stop");
		let stopped: Promise<void> | undefined;
		const probe = async (point: string) => {
			if (point !== "published") return;
			stopped ??= writer.stop();
			await until("the stop has come to the relay", () => stop.mock.callCount() > 0);
		};
		const writer = await startWriter(t, url, { publisher: () => stream, probe });
		await writer.write([1]);
		await until("it stops", () => stopped !== undefined);
		await stopped;
		const second = await startWriter(t, url, { publisher: () => stream });
		await second.write([2]);
		await until("the next one", () => sent.includes(2));
		assert.deepEqual(sent, [1, 2]);
	});

	it("gives no number twice where a step was committed and its answer lost", async t => {
		const stream = new FakeStream();
		const real = OutboxStore.prototype.advance;
		let lost = false;
		t.mock.method(
			OutboxStore.prototype,
			"advance",
			async function (this: OutboxStore, ...args: Parameters<typeof real>) {
				const rows = await real.apply(this, args);
				if (lost || !rows?.length) return rows;
				lost = true;
				await writer.write([2]);
				throw new Error("The connection was lost");
			}
		);
		const writer = await startWriter(t, await create(), { publisher: () => stream });
		await writer.write([1]);
		await until("both", () => stream.stored.length === 2);
		assert.deepEqual(
			stream.stored.map(({ headers }) => headers["source-seq"]),
			["1", "2"]
		);
	});

	it("looks at its streams after a lost connection before it publishes: what was lost comes first", async t => {
		const stream = new FakeStream();
		let interrupt = () => {};
		const onInterruption = (listener: () => void) => {
			interrupt = listener;
		};
		const publisher = () => Object.assign(stream, { onInterruption });
		const writer = await startWriter(t, await create(), { publisher, relay: { poll: 3_600_000, watch: 3_600_000 } });
		await writer.write(upTo(3));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		stream.wipe();
		interrupt();
		await writer.write([4]);
		await until("all messages", () => stream.stored.length === 4);
		assert.deepEqual(stream.numbers, upTo(4));
	});

	it("publishes again what a stream has lost that was put back from an older copy, also where it grows at once", async t => {
		const stream = new FakeStream();
		const relay = { watch: 3_600_000 };
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay });
		await writer.write(upTo(3));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		stream.stored.length = 1;
		stream.lastSeq = 1;
		await writer.write([4]);
		await until("all messages", () => stream.stored.length === 4);
		assert.deepEqual(stream.numbers, [1, 4, 2, 3]);
		assert.match(writer.errors.join("\n"), /Stream FACTS went backwards/);
	});

	it("who was replaced can not give back the lease of the next relay", async t => {
		const { sequelize, release } = acquire(await create());
		t.after(release);
		const store = new OutboxStore(sequelize, work => runInTransaction(sequelize, work));
		const first = (await store.claim("first", 1)) as number;
		await until("the lease is over", async () => (await store.claim("second", 60_000)) === first + 1);
		await store.release(first);
		assert.equal(await store.claim("third", 60_000), undefined);
	});

	it("how far a stream was is kept for the next relay, also of one batch alone", async t => {
		const stream = new FakeStream();
		const url = await create();
		const first = await startWriter(t, url, { publisher: () => stream });
		await first.write([1]);
		await until("it is marked", async () => (await first.outbox.backlog()).pending === 0);
		await first.stop();
		stream.wipe();
		await startWriter(t, url, { publisher: () => stream });
		await until("the message again", () => stream.stored.length === 1);
	});

	it("a row that gets another chance may be refused as often as before", async t => {
		const stream = new FakeStream();
		let refusals = 5;
		stream.before = () => {
			if (refusals-- > 0) throw new ChannelError("MESSAGE_REFUSED", "too large");
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { poll: 10 } });
		await writer.write([1]);
		await until("set aside", async () => (await writer.outbox.backlog()).failed === 1);
		refusals = 4;
		await writer.outbox.retryFailed();
		await until("the message", () => stream.stored.length === 1);
	});

	it("a row that is refused for a moment is not overtaken by those of its aggregate", async t => {
		const stream = new FakeStream();
		let refusals = 2;
		stream.before = ({ data }) => {
			if (JSON.parse(data).n === 2 && refusals-- > 0) throw new ChannelError("MESSAGE_REFUSED", "not now");
		};
		const writer = await startWriter(t, await create(), { publisher: () => stream, relay: { poll: 10 } });
		await writeTogether(writer, upTo(3));
		await until("all messages", () => stream.stored.length === 3);
		assert.deepEqual(stream.numbers, [1, 2, 3]);
	});

	it("a message that the stream had already is no sign that it went backwards", async t => {
		const stream = new FakeStream();
		let crashes = 0;
		const probe = (point: string) => {
			if (point === "published" && ++crashes === 1) throw new Error("crash");
		};
		const url = await create();
		const writer = await startWriter(t, url, { publisher: () => stream });
		await writer.write([1, 2]);
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		await writer.db.query("UPDATE outbox SET published_at = NULL");
		await writer.stop();
		const second = await startWriter(t, url, { publisher: () => stream, probe });
		await until("all marked", async () => (await second.outbox.backlog()).pending === 0);
		assert.deepEqual([second.errors, stream.numbers], [[], [1, 2]]);
	});

	it("nothing more of a batch is sent once the connection was lost: the stream may be another one then", async t => {
		const stream = new FakeStream();
		let interrupt = () => {};
		const onInterruption = (listener: () => void) => {
			interrupt = listener;
		};
		const publisher = () => Object.assign(stream, { onInterruption });
		const publish = stream.publish.bind(stream);
		let first = true;
		stream.publish = async message => {
			const published = await publish(message);
			if (!first) return published;
			first = false;
			stream.wipe();
			interrupt();
			return published;
		};
		const writer = await startWriter(t, await create(), { publisher });
		await writeTogether(writer, upTo(6));
		await until("all messages", () => stream.stored.length === 6);
		assert.deepEqual(stream.numbers, upTo(6));
	});
});
