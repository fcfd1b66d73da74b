import assert from "node:assert/strict";
import { it } from "node:test";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { Fenced, sagaFailure } from "../../../mixins/saga/errors.ts";
import { purgeAll } from "../../../mixins/saga/housekeeping.ts";
import { operatorStore } from "../../../mixins/saga/operator-store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { fails, rowsOf, trip as saga, sagaDatabase, testEngine } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const claimer = { owner: "other", lease: 2_000 };

await onEachDatabase("The rows of sagas", databases => {
	it("R1: of 10 submissions of one id, one begins the saga and owns it, with its steps and its first lease", async t => {
		const database = await sagaDatabase(t, databases);
		const { engine, store } = testEngine(database, [saga], {});
		const submission = { gid: "g1", payload: { who: "ann", seats: 2 }, traceparent: null };
		const answers = await Promise.all(Array.from({ length: 10 }, () => engine.submit(saga, submission)));
		assert.deepEqual(answers.map(({ isNew }) => isNew).filter(Boolean), [true]);

		const stored = await store.find("g1");
		assert.equal(stored?.epoch, 1);
		assert.deepEqual(
			stored?.steps.map(({ name, action }) => [name, action]),
			[
				["hotel", "prepared"],
				["car", "prepared"],
				["mail", "prepared"]
			]
		);
		assert.deepEqual(await store.due([saga], 10), [], "leased to the submitter: no poll finds it");
	});

	it("R1: the same id with the fields in another order is the same saga, with another value it is refused", async t => {
		const { engine } = testEngine(await sagaDatabase(t, databases), [saga], {});
		const submit = (payload: object) => engine.submit(saga, { gid: "g1", payload, traceparent: null });
		await submit({ who: "ann", seats: 2 });
		assert.equal((await submit({ seats: 2, who: "ann" })).isNew, false);
		await assert.rejects(submit({ who: "ann", seats: 3 }), { type: "SAGA_OTHER_PAYLOAD", code: 422 });
	});

	it("R1: an id that cannot be stored whole is refused before anything is stored", async t => {
		const database = await sagaDatabase(t, databases);
		const { engine } = testEngine(database, [saga], {});
		for (const gid of ["", "x".repeat(65), "a b", "é"])
			await assert.rejects(engine.submit(saga, { gid, payload: {}, traceparent: null }), { type: "SAGA_GID" });
		assert.deepEqual(await rowsOf(database, "saga"), []);
	});

	it("R2: of 10 coordinators that claim a saga, one gets it, with the epoch after the one they saw", async t => {
		const database = await sagaDatabase(t, databases);
		const { engine, store, begin } = testEngine(database, [saga], {});
		const begun = await begin(saga, "g1");
		await store.release(begun, 0);
		const claims = await Promise.all(Array.from({ length: 10 }, () => engine.claim(begun)));
		const won = claims.filter(claim => claim !== null);
		assert.deepEqual(
			won.map(({ epoch }) => epoch),
			[2]
		);
		assert.equal(await engine.claim({ gid: "g1", epoch: 2 }), null, "leased");
	});

	it("R2: a claim whose epoch is out of date gets nothing, although the lease has ended", async t => {
		const { engine, store, begin } = testEngine(await sagaDatabase(t, databases), [saga], {});
		const begun = await begin(saga, "g1");
		await store.release(begun, 0);
		const second = await engine.claim(begun);
		assert.ok(second);
		await store.release(second, 0);
		assert.equal(await engine.claim(begun), null);
		assert.equal((await engine.claim(second))?.epoch, 3);
	});

	it("R3: an owner that was paused past its lease changes nothing any more, whichever write it makes", async t => {
		const database = await sagaDatabase(t, databases);
		const { store, begin } = testEngine(database, [saga], {});
		const paused = await begin(saga, "g1");
		assert.ok(await store.claim("g1", 1, { ...claimer, force: true }));
		const all = async () => [
			await rowsOf(database, "saga"),
			await rowsOf(database, "saga_step"),
			await rowsOf(database, "saga_event")
		];
		const before = await all();

		const [step] = saga.steps;
		assert.ok(step);
		const error = { type: "Error", message: "x" };
		const writes = [
			() => store.actionDone(paused, step, 1, 1),
			() => store.compensated(paused, step),
			() => store.delay(paused, step, { error, wait: 1, failed: true, attention: true }),
			() => store.abort(paused, error),
			() => store.finish(paused, "succeed"),
			() => store.release(paused, 0),
			() => store.renew(paused, 1_000),
			() => operatorStore(database).skip(paused, "hotel", { kind: "skipped" }),
			() => operatorStore(database).hurry(paused, { kind: "retried" }),
			() => operatorStore(database).giveUp(paused, { kind: "forced" })
		];
		for (const write of writes) await assert.rejects(write(), Fenced);
		assert.deepEqual(await all(), before);
	});

	it("R3: an end never changes, not even by its own owner", async t => {
		const { store, begin } = testEngine(await sagaDatabase(t, databases), [saga], {});
		const owned = await begin(saga, "g1");
		await store.finish(owned, "succeed");
		await assert.rejects(store.finish(owned, "failed"), Fenced);
		await assert.rejects(store.abort(owned, { type: "x", message: "x" }), Fenced);
		assert.equal(await store.claim("g1", 1, { ...claimer, force: true }), null);
		assert.equal((await store.find("g1"))?.status, "succeed");
	});

	it("R3: a drive that was overtaken stops and says nothing but that it was", async t => {
		const { engine, store, begin, facts } = testEngine(await sagaDatabase(t, databases), [saga], {
			"hotel.book": () => store.claim("g1", 1, { ...claimer, force: true })
		});
		await engine.drive(await begin(saga, "g1"));
		assert.deepEqual(
			facts.map(({ kind }) => kind),
			["started", "tried", "fenced"]
		);
		assert.equal((await store.find("g1"))?.status, "submitted");
	});

	it("R5: a lease is renewed while a call takes longer than it, so nobody takes the saga over", async t => {
		const release = Promise.withResolvers<void>();
		const { engine, store, begin } = testEngine(
			await sagaDatabase(t, databases),
			[saga],
			{ "hotel.book": () => release.promise },
			{ lease: 600, callTimeout: 500 }
		);
		const drive = engine.drive(await begin(saga, "g1"));
		const first = await store.find("g1");
		await until("the lease was renewed three times", async () => {
			const now = await store.find("g1");
			return Date.parse(now?.nextRunAt ?? "") - Date.parse(first?.nextRunAt ?? "") > 500;
		});
		assert.equal(await engine.claim({ gid: "g1", epoch: 1 }), null);
		release.resolve();
		await drive;
		assert.equal((await store.find("g1"))?.epoch, 1);
	});

	it("R5: a renewal that is under way when a saga has to wait does not keep it from others for a lease", async t => {
		const database = await sagaDatabase(t, databases);
		const { engine, store, begin } = testEngine(
			database,
			[saga],
			{ "hotel.book": () => renewing.promise.then(fails(new Error("down"))) },
			{ lease: 60_000, callTimeout: 59_000, backoff: { base: 1, cap: 1 } }
		);
		const renewing = Promise.withResolvers<void>();
		const renewed = Promise.withResolvers<void>();
		const { renew } = store;
		store.renew = async (...args) => {
			renewing.resolve();
			await until("the failure is stored", async () => (await store.find("g1"))?.steps[0]?.attempts === 1);
			await renew(...args).finally(renewed.resolve);
		};
		t.mock.timers.enable({ apis: ["setInterval"] });
		const drive = engine.drive(await begin(saga, "g1"));
		t.mock.timers.tick(20_000);
		await drive;
		await renewed.promise;
		await until("it is due", async () => (await store.due([saga], 1)).length === 1);
	});

	it("R5: a call that may outlast the lease is refused when the engine is made", async t => {
		const database = await sagaDatabase(t, databases);
		assert.throws(() => testEngine(database, [saga], {}, { lease: 100, callTimeout: 100 }), /must outlast/);
		const slow = defineSaga({ name: "trip", version: 1, steps: [{ name: "a", action: "a.a", timeout: 5_000 }] });
		assert.throws(() => testEngine(database, [slow], {}, { lease: 2_000 }), /5000 ms/);
	});

	it("R8: a coordinator leaves alone what it has no definition for, and a person is asked to look", async t => {
		const database = await sagaDatabase(t, databases);
		const newer = defineSaga({ ...saga, version: 2 });
		const { begin, store } = testEngine(database, [saga, newer], {});
		await store.release(await begin(newer, "g2"), 0);
		assert.deepEqual(await store.due([saga], 10), []);

		const { park } = operatorStore(database);
		assert.equal(await park([saga], 60_000), 0, "not at once: another node may know it");
		await until("it is long due", async () => (await park([saga], 5)) === 1);
		assert.equal((await store.find("g2"))?.needsAttention, true);
		const [due] = await store.due([saga, newer], 10);
		assert.equal(due?.gid, "g2");
	});

	it("R12: a look takes the longest due first, as many as asked for", async t => {
		const { begin, store } = testEngine(await sagaDatabase(t, databases), [saga], {});
		for (const [gid, wait] of [
			["later", 3_600_000],
			["b", -1_000],
			["a", -2_000],
			["c", -500]
		] as const)
			await store.release(await begin(saga, gid), wait);
		const due = await store.due([saga], 2);
		assert.deepEqual(
			due.map(({ gid }) => gid),
			["a", "b"]
		);
		assert.ok(Number(due[0]?.late) >= 2_000);
	});

	it("R15: finished sagas go when they are old enough, with steps and timeline, and no others do", async t => {
		const database = await sagaDatabase(t, databases);
		const { begin, engine } = testEngine(database, [saga], { "car.rent": fails(new Error("down")) });
		await engine.drive(await begin(saga, "open"));
		const other = testEngine(database, [saga], { "car.rent": fails(sagaFailure("no car")) });
		for (const gid of ["g1", "g2", "g3"]) await other.engine.drive(await other.begin(saga, gid));

		const { purge } = operatorStore(database);
		assert.equal(await purge(60_000, 100), 0);
		let gone = 0;
		await until("they are a moment old", async () => {
			gone += await purgeAll(batch => purge(5, batch));
			return gone === 3;
		});
		for (const table of ["saga", "saga_step", "saga_event"]) {
			const gids = new Set((await rowsOf(database, table)).map(({ gid }) => gid));
			assert.deepEqual([...gids], ["open"]);
		}
	});
});
