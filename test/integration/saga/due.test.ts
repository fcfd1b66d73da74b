import assert from "node:assert/strict";
import { it } from "node:test";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { operatorStore } from "../../../mixins/saga/operator-store.ts";
import { sagaStore } from "../../../mixins/saga/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { NUMBERS, plansOf } from "../../support/plans.ts";
import { rowsOf, sagaDatabase, testEngine, testSagas } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const saga = defineSaga({ name: "trip", version: 1, steps: [{ name: "hotel", action: "hotel.book" }] });
const LONG_AGO = "'2020-01-01 00:00:00.000'";

await onEachDatabase("Due sagas", databases => {
	it("one that can not be read does not keep the others: it is put off, and a person is asked for", async t => {
		const database = await sagaDatabase(t, databases);
		const { begin } = testEngine(database, [saga], {});
		for (const gid of ["bad", "good1", "good2"]) await begin(saga, gid);
		await database.db.query(`UPDATE saga SET lease_until = ${LONG_AGO}, next_run_at = '2020-01-02 00:00:00.000'`);
		await database.db.query(`UPDATE saga SET payload = '{"p": 1', next_run_at = ${LONG_AGO} WHERE gid = 'bad'`);
		const { sagas } = await testSagas(database, { definitions: [saga], actions: { "hotel.book": () => null } });
		for (const gid of ["good1", "good2"]) await until(gid, async () => (await sagas.outcome(gid)).status === "succeed");
		await until("it is put off", async () => (await operatorStore(database).standing()).needingAttention === 1);
		const rows = await rowsOf(database, "saga");
		assert.deepEqual(
			rows.map(({ gid, epoch, status }) => [gid, epoch, status]),
			[
				["bad", 1, "submitted"],
				["good1", 2, "succeed"],
				["good2", 2, "succeed"]
			]
		);
	});

	it("are found in the order of an index: no more is read than is due, however many wait (EXPLAIN)", async t => {
		const database = await sagaDatabase(t, databases);
		const { db } = database;
		const time = (n: string) => `CASE WHEN n < 30 THEN ${LONG_AGO} ELSE ${n} END`;
		await db.query(
			`INSERT INTO saga (gid, name, version, status, payload, payload_hash, epoch, owner, lease_until, next_run_at,
				needs_attention, created_at, updated_at)
			${NUMBERS} SELECT n, 'trip', 1, CASE WHEN n % 2 = 0 THEN 'aborting' ELSE 'submitted' END, '{}', '', 1, 'a node',
				${LONG_AGO}, ${time("'2100-01-01 00:00:00.000'")}, 0, ${LONG_AGO}, ${LONG_AGO} FROM numbers`
		);
		await db.query(databases.dialect === "sqlite" ? "ANALYZE" : "ANALYZE TABLE saga");
		const { due } = sagaStore(database);
		const plans = await plansOf(t, db, /FROM saga\s+WHERE/, async () => {
			assert.equal((await due([saga], 20)).length, 20);
			assert.equal((await due([saga], 50, ["1", "2"])).length, 28);
		});
		assert.equal(plans.length, 2);
		for (const { sql, steps } of plans) {
			const ofTable = steps.filter(step => /saga_status_next_run_at/.test(step));
			assert.equal(ofTable.length, 2, `${sql}\n${steps.join("\n")}`);
			for (const step of ofTable) assert.doesNotMatch(step, /filesort|"rows":\d{3}/);
		}
	});
});
