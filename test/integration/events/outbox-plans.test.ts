import assert from "node:assert/strict";
import { it } from "node:test";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import { OutboxStore } from "../../../mixins/outbox/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { prepare } from "../../support/outbox.ts";
import { NUMBERS, plansOf } from "../../support/plans.ts";

const NEVER = 3_600_000;

await onEachDatabase("An outbox that keeps much", databases => {
	it("finds what waits through its index, also behind many rows that were published (EXPLAIN)", async t => {
		const url = await databases.create();
		await prepare(url);
		const { sequelize, release } = acquire(url);
		t.after(release);
		await sequelize.query(
			`INSERT INTO outbox (msg_id, stream, subject, payload, headers, created_at, published_at, attempts)
			${NUMBERS} SELECT n, 'FACTS', 'fact.counted', '{}', '{}', 0, CASE WHEN n < 7000 THEN 1 END, 0 FROM numbers ORDER BY n`
		);
		await sequelize.query(databases.dialect === "sqlite" ? "ANALYZE" : "ANALYZE TABLE outbox");
		const store = new OutboxStore(sequelize, work => runInTransaction(sequelize, work));
		const epoch = (await store.claim("a relay", NEVER)) as number;
		const outcome = { published: [], refused: [] };

		const plans = await plansOf(t, sequelize, /^SELECT .*published_at IS NULL/s, async () => {
			await store.advance({ epoch, lease: NEVER, limit: 200, streams: new Map(), outcome });
			assert.equal(await store.hasWork(), true);
			assert.equal((await store.backlog()).pending, 3000);
		});

		assert.equal(plans.length, 3);
		for (const { sql, steps } of plans) {
			assert.ok(
				steps.some(step => /USING .*INDEX outbox_published_at_id|"key":"outbox_published_at_id"/.test(step)),
				sql
			);
			for (const step of steps)
				assert.doesNotMatch(step, /SCAN outbox\b|"table":"outbox","type":"(ALL|index)"|filesort|B-TREE/);
		}
	});
});
