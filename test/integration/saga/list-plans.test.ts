import assert from "node:assert/strict";
import { it } from "node:test";
import { operatorStore } from "../../../mixins/saga/operator-store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { NUMBERS, plansOf } from "../../support/plans.ts";
import { sagaDatabase } from "../../support/sagas.ts";

await onEachDatabase("The list of many sagas", databases => {
	it("is read through an index, whatever is asked for (EXPLAIN)", async t => {
		const database = await sagaDatabase(t, databases);
		const { db } = database;
		const time = databases.dialect === "sqlite" ? "'2026-11-21 10:00:00.000 +00:00'" : "'2026-11-21 10:00:00'";
		await db.query(
			`INSERT INTO saga (gid, name, version, status, payload, payload_hash, epoch, owner, lease_until, next_run_at,
				needs_attention, created_at, updated_at)
			${NUMBERS} SELECT n, 'trip', 1, CASE WHEN n < 20 THEN 'aborting' ELSE 'succeed' END, '{}', '', 1, 'a node', ${time}, ${time},
				n < 10, ${time}, ${time} FROM numbers`
		);
		await db.query(databases.dialect === "sqlite" ? "ANALYZE" : "ANALYZE TABLE saga");
		const { list } = operatorStore(database);

		const plans = await plansOf(t, db, /FROM saga WHERE/, async () => {
			assert.equal((await list({ limit: 20 })).length, 20);
			assert.equal((await list({ status: "succeed", limit: 20 })).length, 20);
			assert.equal((await list({ status: "aborting", limit: 50 })).length, 20);
			assert.equal((await list({ attention: true, limit: 20 })).length, 10);
			assert.equal((await list({ status: "aborting", attention: true, limit: 20 })).length, 10);
		});

		assert.equal(plans.length, 5);
		for (const { sql, steps } of plans)
			for (const step of steps) assert.doesNotMatch(step, /SCAN saga(?! USING)|"table":"saga","type":"ALL"/, sql);
		const [newest, , aborting, ...attention] = plans.map(({ steps }) => steps.join());
		assert.match(String(newest), /saga_created_at_gid/);
		assert.doesNotMatch(String(newest), /filesort|B-TREE/);
		// SQLite does not know which status is rare.
		if (databases.dialect === "mysql")
			for (const few of [aborting, ...attention]) assert.match(String(few), /saga_status_next_run_at/);
	});
});
