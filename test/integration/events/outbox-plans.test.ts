import assert from "node:assert/strict";
import { it } from "node:test";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import { OutboxStore } from "../../../mixins/outbox/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { prepare } from "../../support/outbox.ts";

const NEVER = 3_600_000;

await onEachDatabase("An outbox that keeps much", databases => {
	it("finds what waits through its index, also behind many rows that were published (EXPLAIN)", async t => {
		const url = await databases.create();
		await prepare(url);
		const { sequelize, release } = acquire(url);
		t.after(release);
		const isSqlite = databases.dialect === "sqlite";
		await sequelize.query(
			`INSERT INTO outbox (msg_id, stream, subject, payload, headers, created_at, published_at, attempts)
			WITH d AS (SELECT 0 AS n ${"123456789".replace(/./g, "UNION ALL SELECT $& ")}),
				numbers AS (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n FROM d a, d b, d c, d)
			SELECT n, 'FACTS', 'fact.counted', '{}', '{}', 0, CASE WHEN n < 7000 THEN 1 END, 0 FROM numbers ORDER BY n`
		);
		await sequelize.query(isSqlite ? "ANALYZE" : "ANALYZE TABLE outbox");
		const store = new OutboxStore(sequelize, work => runInTransaction(sequelize, work));
		const epoch = (await store.claim("a relay", NEVER)) as number;
		const sent: string[] = [];
		const { options } = sequelize as unknown as { options: { logging: false | ((sql: string) => void) } };
		options.logging = sql => void sent.push(sql.replace(/^Executing \(.*?\): /, ""));
		const outcome = { published: [], refused: [] };
		await store.advance({ epoch, lease: NEVER, limit: 200, streams: new Map(), outcome });
		assert.equal(await store.hasWork(), true);
		assert.equal((await store.backlog()).pending, 3000);
		options.logging = false;

		const reads = sent.filter(sql => /^SELECT .*published_at IS NULL/s.test(sql));
		assert.equal(reads.length, 3);
		for (const sql of reads) {
			const [plan] = await sequelize.query(`EXPLAIN ${isSqlite ? "QUERY PLAN" : ""} ${sql}`);
			const steps = (plan as object[]).map(step => JSON.stringify(step));
			assert.ok(
				steps.some(step => /USING .*INDEX outbox_published_at_id|"key":"outbox_published_at_id"/.test(step)),
				sql
			);
			for (const step of steps)
				assert.doesNotMatch(step, /SCAN outbox\b|"table":"outbox","type":"(ALL|index)"|filesort|B-TREE/);
		}
	});
});
