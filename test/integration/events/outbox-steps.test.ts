import assert from "node:assert/strict";
import { it, type TestContext } from "node:test";
import { type QueryOptions, QueryTypes } from "sequelize";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import { OutboxStore } from "../../../mixins/outbox/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, unavailable, upTo } from "../../support/outbox.ts";
import { NUMBERS } from "../../support/plans.ts";
import { until } from "../../support/until.ts";

const NEVER = 3_600_000;
const step = { lease: NEVER, limit: 1, streams: new Map(), outcome: { published: [], refused: [] } };

await onEachDatabase("The steps of a relay", databases => {
	async function open(t: TestContext) {
		const { sequelize, release } = acquire(await outboxDatabase(databases));
		t.after(release);
		const store = new OutboxStore(sequelize, work => runInTransaction(sequelize, work));
		const state = (sql: string) => sequelize.query(sql, { type: QueryTypes.SELECT } satisfies QueryOptions);
		/** Rows that were published, with the ids from 1 on. */
		const published = (count: number) =>
			sequelize.query(
				`INSERT INTO outbox (id, msg_id, stream, subject, payload, headers, sequence, created_at, published_at, attempts)
				${NUMBERS} SELECT n + 1, n + 1, 'FACTS', 'fact.counted', '{}', '{}', n + 1, 0, 1, 0 FROM numbers WHERE n < ${count}`
			);
		return { store, state, published };
	}

	it("who was replaced reads nothing, marks nothing and keeps no lease, also while all is published again", async t => {
		const { store, state, published } = await open(t);
		await published(3);
		const first = (await store.claim("first", 1)) as number;
		await until("the lease is over", async () => (await store.claim("second", NEVER)) === first + 1);
		for (const isAgain of [false, true]) {
			if (isAgain) await store.requestRepublish();
			const before = [await state("SELECT * FROM outbox_relay"), await state("SELECT * FROM outbox")];
			const late = { ...step, epoch: first, lease: 1, outcome: { published: [1, 2], refused: [] } };
			assert.equal(await store.advance(late), null);
			assert.deepEqual([await state("SELECT * FROM outbox_relay"), await state("SELECT * FROM outbox")], before);
		}
		assert.equal((await store.advance({ ...step, epoch: first + 1 }))?.length, 1);
	});

	it("take up no slice before the last one is published: each would lock and write as many rows again", async t => {
		const { store, published } = await open(t);
		await published(9_000);
		const epoch = (await store.claim("a relay", NEVER)) as number;
		await store.requestRepublish();
		for (let i = 0; i < 2; i++) {
			const rows = await store.advance({ ...step, epoch });
			assert.deepEqual([rows?.map(({ id }) => id), (await store.backlog()).pending], [[1], 4_999]);
		}
		const outcome = { published: Array.from({ length: 4_999 }, (_, i) => i + 1), refused: [] };
		const rows = await store.advance({ ...step, epoch, outcome });
		assert.deepEqual([rows?.map(({ id }) => id), (await store.backlog()).pending], [[5_000], 4_001]);
	});

	it("are another one's at once, when a relay was stopped in order", async t => {
		const stream = new FakeStream();
		const url = await outboxDatabase(databases);
		const options = { publisher: () => stream, relay: { lease: NEVER } };
		const first = await startWriter(t, url, options);
		await first.write([1]);
		await until("the first", () => stream.stored.length === 1);
		await first.stop();
		const second = await startWriter(t, url, options);
		await second.write([2]);
		await until("the second", () => stream.stored.length === 2);
	});

	it("go on while there is nothing to do: the lease is renewed", async t => {
		const relay = { lease: 3_000, poll: 10 };
		const writer = await startWriter(t, await outboxDatabase(databases), { publisher: () => new FakeStream(), relay });
		const state = async () => {
			const [row] = await writer.rows<{ epoch: number; until: number }>(
				"SELECT epoch, lease_until AS until FROM outbox_relay"
			);
			return { epoch: Number(row?.epoch), until: Number(row?.until) };
		};
		await until("it is the relay", async () => (await state()).epoch === 1);
		const { until: end } = await state();
		await until("it was renewed", async () => (await state()).until > end);
		assert.equal((await state()).epoch, 1);
	});

	it("begin with a look at the streams after an outage: what was lost in it comes first", async t => {
		const stream = new FakeStream();
		const relay = { watch: NEVER };
		const writer = await startWriter(t, await outboxDatabase(databases), { publisher: () => stream, relay });
		await writer.write(upTo(3));
		await until("all marked", async () => (await writer.outbox.backlog()).pending === 0);
		let isAway = true;
		stream.before = () => {
			if (!isAway) return;
			isAway = false;
			stream.wipe();
			throw unavailable();
		};
		await writer.write([4]);
		await until("all messages", () => stream.stored.length === 4);
		assert.deepEqual(stream.numbers, upTo(4));
	});
});
