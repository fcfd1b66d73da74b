import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { barrier, purgeBarriers } from "../../../mixins/saga/barrier.ts";
import { clockOf } from "../../../mixins/saga/database.ts";
import type { Step } from "../../../mixins/saga/definition.ts";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { quiet } from "../../support/app.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { fails, rowsOf, trip as saga, sagaDatabase, testEngine } from "../../support/sagas.ts";

await onEachDatabase("A saga's engine", databases => {
	const error = { type: "X", message: "down" };
	const step = saga.steps[0] as Step;

	it("sends no other call when its engine stops, and gives the saga back to whoever is there", async t => {
		const { engine, store, begin, calls } = testEngine(await sagaDatabase(t, databases), [saga], {
			"hotel.book": () => engine.stop()
		});
		await engine.drive(await begin(saga, "g1"));
		assert.deepEqual(calls, ["hotel.book"]);
		const due = await store.due([saga], 1);
		assert.deepEqual(
			due.map(({ gid, isAbandoned }) => [gid, isAbandoned]),
			[["g1", false]]
		);
	});

	it("asks for a person once, however often it tries after that", async t => {
		const database = await sagaDatabase(t, databases);
		let tries = 0;
		const { begin, engine, facts, finish } = testEngine(
			database,
			[saga],
			{
				"car.rent": fails(sagaFailure("no car")),
				"hotel.cancel": () => {
					if (++tries < 10) throw new Error("down");
				}
			},
			{ attentionAfter: 3 }
		);
		await engine.drive(await begin(saga, "g1"));
		await finish("g1");
		assert.equal(facts.filter(({ kind }) => kind === "attention").length, 1);
		const events = await rowsOf(database, "saga_event");
		assert.equal(events.filter(({ kind }) => kind === "needsAttention").length, 1);
	});

	it("rows of a barrier are forgotten one by one: a young one of an old saga stays", async t => {
		const database = await sagaDatabase(t, databases);
		const broker = new ServiceBroker(quiet());
		const run = (step: string) =>
			database.transaction(transaction =>
				barrier({ meta: { saga: { gid: "g1", step, op: "action", age: 0 } }, broker }, transaction, async () => {})
			);
		await run("old");
		await database.db.query(`UPDATE saga_barrier SET created_at = ${clockOf(database.db).after("-100000")}`);
		await run("young");
		assert.equal(await purgeBarriers(database.db, 60_000, 100), 1);
		assert.deepEqual(
			(await rowsOf(database, "saga_barrier")).map(({ step }) => step),
			["young"]
		);
	});

	it("a saga that somebody drives is not set aside", async t => {
		const { begin, store } = testEngine(await sagaDatabase(t, databases), [saga], {});
		const begun = await begin(saga, "g1");
		await store.setAside(begun, 0);
		assert.equal((await store.find("g1"))?.needsAttention, false);
	});

	it("a roll back waits for no pause of an action, and whoever was asked to look is not any more", async t => {
		const { begin, store } = testEngine(await sagaDatabase(t, databases), [saga], {});
		const begun = await begin(saga, "g1");
		await store.delay(begun, step, { error, wait: 60_000, failed: true, attention: true });
		const waiting = await store.find("g1");
		assert.ok(waiting?.needsAttention && (waiting.steps[0]?.wait ?? 0) > 0);
		await store.abort(begun, error);
		const turned = await store.find("g1");
		assert.deepEqual([turned?.needsAttention, (turned?.steps[0]?.wait ?? 0) > 0], [false, false]);
	});
});
