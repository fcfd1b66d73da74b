import assert from "node:assert/strict";
import { it } from "node:test";
import { clockOf, type Database } from "../../../mixins/saga/database.ts";
import { defineSaga, type Step } from "../../../mixins/saga/definition.ts";
import { operatorStore } from "../../../mixins/saga/operator-store.ts";
import type { SagaState } from "../../../mixins/saga/state.ts";
import type { Due } from "../../../mixins/saga/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { quick, trip as saga, sagaDatabase, testEngine } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;

/** Puts times of all rows off by an hour: as if they had been stored before the clock was set back by one. */
async function ahead({ db }: Database, table: string, columns: readonly string[]): Promise<void> {
	const clock = clockOf(db);
	for (const column of columns)
		await db.query(`UPDATE ${table} SET ${column} = ${clock.after(`(${HOUR_MS} + ${clock.until(column)})`)}`);
}

await onEachDatabase("The clock of a saga's database", databases => {
	it("R2: a saga whose database's clock was set back by an hour is due and goes to one coordinator, as if its lease had ended", async t => {
		const database = await sagaDatabase(t, databases);
		const { store, begin, finish } = testEngine(database, [saga], {});
		await begin(saga, "g1");
		assert.deepEqual(await store.due([saga], 10), [], "leased");
		await ahead(database, "saga", ["updated_at", "lease_until", "next_run_at"]);
		assert.deepEqual(await store.due([saga], 10), []);
		await operatorStore(database).bringBack();

		assert.deepEqual(
			(await store.due([saga], 10)).map(({ gid, epoch }) => ({ gid, epoch: Number(epoch) })),
			[{ gid: "g1", epoch: 1 }]
		);
		const claim = (owner: string) => store.claim("g1", 1, { owner, lease: 2_000 });
		const claims = await Promise.all(["one", "two", "three"].map(claim));
		assert.equal(claims.filter(Boolean).length, 1);
		assert.equal(await store.claim("g1", 2, { owner: "four", lease: 2_000 }), null, "leased by the clock as it is now");
		assert.equal((await finish("g1"))?.status, "succeed");
	});

	it("R2: where it was set back while a step paused, that pause and the deadline last no longer than they may", async t => {
		const database = await sagaDatabase(t, databases);
		const timed = defineSaga({ ...saga, timeout: 60_000 });
		const { store, engine, begin } = testEngine(database, [timed], {});
		const begun = await begin(timed, "g1");
		const why = { error: { type: "DOWN", message: "down" }, failed: true, attention: false };
		await store.delay(begun, timed.steps[0] as Step, { ...why, wait: 50 });
		await store.release(begun, 50);
		await ahead(database, "saga", ["updated_at", "lease_until", "next_run_at", "created_at", "deadline"]);
		await ahead(database, "saga_step", ["retry_at"]);
		await operatorStore(database).bringBack();

		const [due] = await store.due([timed], 1);
		const claimed = (await engine.claim(due as Due)) as SagaState;
		assert.ok((claimed.steps[0]?.wait ?? 0) > HOUR_MS / 2 && (claimed.remaining ?? 0) > HOUR_MS / 2);
		await engine.drive(claimed);
		assert.deepEqual([claimed.steps[0]?.wait, claimed.remaining], [quick.ongoingDelay, 60_000]);
		await until("it is due", async () => (await store.due([timed], 1)).length === 1);
	});
});
