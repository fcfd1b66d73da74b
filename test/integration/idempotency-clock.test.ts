import assert from "node:assert/strict";
import { it } from "node:test";
import { acquire } from "../../mixins/db/connection.ts";
import { runInTransaction } from "../../mixins/db/transaction.ts";
import { IdempotencyKeys } from "../../mixins/idempotency/store.ts";
import { createIdempotencyTable } from "../../models/idempotency-table.ts";
import { Schema } from "../../models/schema.ts";
import { onEachDatabase } from "../support/databases.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

await onEachDatabase("The time of an idempotency key", databases => {
	it("is the database's, whatever the clocks of nodes say", async t => {
		const { sequelize, release } = acquire(await databases.create());
		t.after(release);
		await runInTransaction(sequelize, transaction => createIdempotencyTable(new Schema(sequelize, transaction)));
		const keys = new IdempotencyKeys(sequelize);
		const take = (key_hash: string) =>
			runInTransaction(sequelize, transaction => keys.take({ owner: "7", key_hash }, "request", transaction));
		const clock = t.mock.method(Date, "now", () => 0);

		await take("of a node whose clock stands at 1970");
		clock.mock.restore();
		assert.equal(await keys.prune(DAY_MS, 10), 0);
		const now = Date.now();
		t.mock.method(Date, "now", () => now + 2 * DAY_MS);
		assert.equal(await keys.prune(DAY_MS, 10), 0, "a node that is days ahead removes nothing");
		await take("of a node that is days ahead");

		await sequelize.query(`UPDATE idempotency_keys SET created_at = created_at - ${DAY_MS}`);
		assert.equal(await keys.prune(DAY_MS + HOUR_MS, 10), 0);
		assert.equal(await keys.prune(DAY_MS - HOUR_MS, 10), 2);
	});
});
