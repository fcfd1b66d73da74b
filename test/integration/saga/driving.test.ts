import assert from "node:assert/strict";
import { it } from "node:test";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { sagaFailure, sagaOngoing } from "../../../mixins/saga/errors.ts";
import type { Due } from "../../../mixins/saga/store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { fails, rowsOf, trip as saga, sagaDatabase, testEngine } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const refuses = fails(sagaFailure("no car"));

await onEachDatabase("A drive", databases => {
	it("R4: the new direction is stored before the first compensation is sent", async t => {
		const seen: unknown[] = [];
		const { engine, store, begin } = testEngine(await sagaDatabase(t, databases), [saga], {
			"car.rent": refuses,
			"car.return": async () => seen.push((await store.find("g1"))?.status)
		});
		await engine.drive(await begin(saga, "g1"));
		assert.deepEqual(seen, ["aborting"]);
	});

	it("R4: a step's success is stored before the next step is sent", async t => {
		const seen: unknown[] = [];
		const { engine, store, begin } = testEngine(await sagaDatabase(t, databases), [saga], {
			"car.rent": async () => seen.push((await store.find("g1"))?.steps[0]?.action)
		});
		await engine.drive(await begin(saga, "g1"));
		assert.deepEqual(seen, ["succeed"]);
	});

	it("R4: an action with an unknown outcome is taken back too", async t => {
		const once = defineSaga({ ...saga, steps: saga.steps.map(step => ({ ...step, maxAttempts: 1 })) });
		const { engine, begin, calls } = testEngine(await sagaDatabase(t, databases), [once], {
			"car.rent": fails(new Error("Request timed out"))
		});
		await engine.drive(await begin(once, "g1"));
		assert.deepEqual(calls, ["hotel.book", "car.rent", "car.return", "hotel.cancel"]);
	});

	it("R6: ONGOING waits the fixed time, uses up no try and adds nothing to the timeline", async t => {
		let asked = 0;
		const database = await sagaDatabase(t, databases);
		const { begin, engine, store, finish } = testEngine(
			database,
			[saga],
			{
				"hotel.book": () => {
					if (++asked < 4) throw sagaOngoing();
				}
			},
			{ maxAttempts: 2 }
		);
		await engine.drive(await begin(saga, "g1"));
		const waiting = await store.find("g1");
		assert.equal(waiting?.status, "submitted");
		assert.equal(waiting?.steps[0]?.attempts, 0);
		assert.equal((await finish("g1"))?.status, "succeed");
		assert.equal(asked, 4);
		assert.deepEqual(await rowsOf(database, "saga_event"), []);
	});

	it("a definition that has other steps now, under the same version, calls nothing", async t => {
		const database = await sagaDatabase(t, databases);
		const { begin } = testEngine(database, [saga], {});
		const begun = await begin(saga, "g1");
		const changed = defineSaga({ name: "trip", version: 1, steps: [{ name: "car", action: "car.rent" }] });
		const { engine, calls } = testEngine(database, [changed], {});
		await assert.rejects(engine.drive(begun), /g1 has the steps hotel, car, mail, version 1 of trip now has car/);
		assert.deepEqual(calls, []);
	});

	it("a saga that its owner left without a word has who took it in its timeline", async t => {
		const database = await sagaDatabase(t, databases);
		const { begin, engine, store } = testEngine(database, [saga], {}, { lease: 600 });
		await begin(saga, "g1");
		await until("its lease ends", async () => (await store.due([saga], 1)).length === 1);
		const [due] = await store.due([saga], 1);
		await engine.claim(due as Due);
		assert.deepEqual(
			(await rowsOf(database, "saga_event")).map(({ kind, epoch }) => [kind, epoch]),
			[["claimed", 2]]
		);
	});

	it("R7: the pause before the next try is stored, and nobody finds the saga earlier", async t => {
		const { begin, engine, store } = testEngine(
			await sagaDatabase(t, databases),
			[saga],
			{ "hotel.book": fails(new Error("down")) },
			{ backoff: { base: 1e9, cap: 60_000 } }
		);
		await engine.drive(await begin(saga, "g1"));
		const waiting = await store.find("g1");
		const wait = waiting?.steps[0]?.wait ?? 0;
		assert.ok(wait > 0 && wait <= 60_000, `${wait} ms`);
		assert.deepEqual(await store.due([saga], 10), []);
		assert.equal(waiting?.steps[0]?.lastError?.message, "down");
	});

	it("R7: compensations are tried for ever, and ask for a person after some tries", async t => {
		const { begin, engine, store, facts, finish } = testEngine(
			await sagaDatabase(t, databases),
			[saga],
			{
				"car.rent": refuses,
				"hotel.cancel": () => {
					if (facts.filter(({ kind }) => kind === "tried").length < 12) throw sagaFailure("will not");
				}
			},
			{ attentionAfter: 3 }
		);
		await engine.drive(await begin(saga, "g1"));
		await until("a person is asked for", async () => {
			const now = await store.find("g1");
			if (now && !now.needsAttention && (await store.due([saga], 1)).length > 0) {
				const mine = await engine.claim(now);
				if (mine) await engine.drive(mine);
			}
			return (await store.find("g1"))?.needsAttention === true;
		});
		assert.equal(facts.filter(({ kind }) => kind === "attention").length, 1);
		const end = await finish("g1");
		assert.deepEqual([end?.status, end?.needsAttention], ["failed", false]);
	});

	it("R7: an action that is tried for ever asks for a person, one that a deadline or a limit ends does not", async t => {
		const database = await sagaDatabase(t, databases);
		const answers = { "hotel.book": fails(new Error("down")) };
		const asksFor = async (gid: string, definition: typeof saga, settings = {}) => {
			const { begin, engine, store } = testEngine(database, [definition], answers, {
				attentionAfter: 1,
				backoff: { base: 1e9, cap: 1e9 },
				...settings
			});
			await engine.drive(await begin(definition, gid));
			return (await store.find(gid))?.needsAttention;
		};
		assert.equal(await asksFor("g1", saga), true);
		assert.equal(await asksFor("g2", defineSaga({ ...saga, timeout: 60_000 })), false);
		assert.equal(await asksFor("g3", saga, { maxAttempts: 3 }), false);
	});

	it("R7: a deadline rolls the saga back, without waiting for the end of a pause", async t => {
		const timed = defineSaga({ ...saga, timeout: 300 });
		const { begin, engine, finish, store } = testEngine(
			await sagaDatabase(t, databases),
			[timed],
			{ "car.rent": fails(new Error("down")) },
			{ backoff: { base: 1e9, cap: 300_000 } }
		);
		await engine.drive(await begin(timed, "g1"));
		await until("it is due", async () => (await store.due([timed], 1)).length === 1);
		const end = await finish("g1");
		assert.equal(end?.status, "failed");
		assert.deepEqual(end?.reason, { type: "SAGA_TIMEOUT", message: "Timeout after 0.3 seconds" });
		assert.deepEqual(
			end?.steps.map(step => step.compensation),
			["succeed", "succeed", "prepared"]
		);
	});

	it("R9: an answer is stored, and a coordinator that takes over hands it on", async t => {
		const results = defineSaga<object, { hotel: { room: number } }>({
			name: "trip",
			version: 1,
			steps: [
				{ name: "hotel", action: "hotel.book" },
				{ name: "car", action: "car.rent", params: ({ results: { hotel } }) => ({ room: hotel?.room }) }
			]
		});
		const database = await sagaDatabase(t, databases);
		const first = testEngine(database, [results], {
			"hotel.book": () => ({ room: 7 }),
			"car.rent": fails(new Error("down"))
		});
		await first.engine.drive(await first.begin(results, "g1"));
		const got: object[] = [];
		const second = testEngine(database, [results], { "car.rent": (_, params) => got.push(params) });
		assert.equal((await second.finish("g1"))?.status, "succeed");
		assert.deepEqual(got, [{ room: 7 }]);
		assert.deepEqual(second.calls, ["car.rent"]);
	});
});
