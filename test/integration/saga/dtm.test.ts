/** The cases that dtm publishes for its sagas (https://github.com/dtm-labs/dtm/tree/main/test), with our differences. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Context } from "moleculer";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { sagaFailure, sagaOngoing } from "../../../mixins/saga/errors.ts";
import type { SagaState } from "../../../mixins/saga/state.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { fails, sagaDatabase, testEngine, testSagas } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const about = { name: "transfer", version: 1 };
const transfer = defineSaga({
	...about,
	steps: [
		{ name: "out", action: "out.do", compensate: "out.undo" },
		{ name: "in", action: "in.do", compensate: "in.undo" }
	]
});

/** dtm's order: [compensation 1, action 1, compensation 2, action 2]. */
const vector = (saga: SagaState | null) => saga?.steps.flatMap(step => [step.compensation, step.action]);
/** Fails the first `times` calls. */
const first = (times: number, error: Error) => {
	let calls = 0;
	return () => {
		if (++calls <= times) throw error;
	};
};

await onEachDatabase("dtm's case", databases => {
	it("normal", async t => {
		const { engine, begin, store } = testEngine(await sagaDatabase(t, databases), [transfer], {});
		await engine.drive(await begin(transfer, "g1"));
		const saga = await store.find("g1");
		assert.deepEqual(vector(saga), ["prepared", "succeed", "prepared", "succeed"]);
		assert.deepEqual([saga?.status, saga?.reason], ["succeed", null]);
	});

	it("the second step fails", async t => {
		const answers = { "in.do": fails(sagaFailure("no money")) };
		const { engine, begin, store } = testEngine(await sagaDatabase(t, databases), [transfer], answers);
		await engine.drive(await begin(transfer, "g1"));
		const saga = await store.find("g1");
		assert.deepEqual(vector(saga), ["succeed", "succeed", "succeed", "failed"]);
		assert.deepEqual([saga?.status, saga?.reason?.message], ["failed", "no money"]);
	});

	it("ongoing: stays submitted, the next look succeeds", async t => {
		const answers = { "in.do": first(1, sagaOngoing()) };
		const { engine, begin, store, finish } = testEngine(await sagaDatabase(t, databases), [transfer], answers);
		await engine.drive(await begin(transfer, "g1"));
		assert.deepEqual(vector(await store.find("g1")), ["prepared", "succeed", "prepared", "prepared"]);
		assert.equal((await store.find("g1"))?.status, "submitted");
		assert.equal((await finish("g1"))?.status, "succeed");
	});

	it("an error of a compensation, then success: stays aborting, the next look ends as failed", async t => {
		const answers = { "in.do": fails(sagaFailure("no")), "out.undo": first(1, new Error("oops")) };
		const { engine, begin, store, finish } = testEngine(await sagaDatabase(t, databases), [transfer], answers);
		await engine.drive(await begin(transfer, "g1"));
		assert.equal((await store.find("g1"))?.status, "aborting");
		const end = await finish("g1");
		assert.equal(end?.status, "failed");
		assert.deepEqual(vector(end), ["succeed", "succeed", "succeed", "failed"]);
	});

	it("submit twice: the second begins nothing (ours: also after the end, where dtm answers an error)", async t => {
		const { engine, begin, calls } = testEngine(await sagaDatabase(t, databases), [transfer], {});
		const submission = { gid: "g1", payload: {}, traceparent: null };
		await engine.drive(await begin(transfer, "g1"));
		const again = await engine.submit(transfer, submission);
		assert.deepEqual([again.isNew, again.saga.status], [false, "succeed"]);
		await engine.drive(again.saga);
		assert.deepEqual(calls, ["out.do", "in.do"]);
	});

	it("the same id with another payload (ours: refused, where dtm runs the new one's calls)", async t => {
		const { engine, begin } = testEngine(await sagaDatabase(t, databases), [transfer], {});
		await begin(transfer, "g1", { amount: 30 });
		const other = engine.submit(transfer, { gid: "g1", payload: { amount: 31 }, traceparent: null });
		await assert.rejects(other, { type: "SAGA_OTHER_PAYLOAD" });
	});

	it("an empty URL counts as success (ours: a step without compensation counts as taken back)", async t => {
		const half = defineSaga({
			...about,
			steps: [
				{ name: "out", action: "out.do" },
				{ name: "in", action: "in.do" }
			]
		});
		const answers = { "in.do": fails(sagaFailure("no")) };
		const { engine, begin, store, calls } = testEngine(await sagaDatabase(t, databases), [half], answers);
		await engine.drive(await begin(half, "g1"));
		assert.deepEqual(vector(await store.find("g1")), ["succeed", "succeed", "succeed", "failed"]);
		assert.deepEqual(calls, ["out.do", "in.do"]);
	});

	it("timeout: fails with the reason (ours: the step that was due is taken back too, its outcome may be unknown)", async t => {
		const timed = defineSaga({ ...about, steps: transfer.steps, timeout: 100 });
		const answers = { "out.do": fails(sagaOngoing()) };
		const { engine, begin, finish, calls } = testEngine(await sagaDatabase(t, databases), [timed], answers);
		await engine.drive(await begin(timed, "g1"));
		const end = await finish("g1");
		assert.deepEqual([end?.status, end?.reason?.message], ["failed", "Timeout after 0.1 seconds"]);
		assert.deepEqual(
			vector(end),
			["succeed", "prepared", "prepared", "prepared"],
			"the step that never ran is left alone"
		);
		assert.ok(!calls.includes("in.undo"));
	});

	it("retry limit exceeded (ours: the pauses grow between the tries)", async t => {
		const limited = defineSaga({ ...about, steps: transfer.steps.map(step => ({ ...step, maxAttempts: 2 })) });
		const answers = { "in.do": fails(new Error("down")) };
		const { engine, begin, finish, calls } = testEngine(await sagaDatabase(t, databases), [limited], answers);
		await engine.drive(await begin(limited, "g1"));
		const end = await finish("g1");
		assert.deepEqual([end?.status, end?.reason?.type], ["failed", "SAGA_RETRY_LIMIT"]);
		assert.equal(end?.reason?.message, "Tried 2 times, the last time: down");
		assert.deepEqual(calls, ["out.do", "in.do", "in.do", "in.undo", "out.undo"]);
	});

	it("headers passed to the branches, also on retries and by the next coordinator", async t => {
		const database = await sagaDatabase(t, databases);
		const seen: { branch: object; requestID: string | null; payload: object }[] = [];
		let isDown = true;
		const setup = {
			definitions: [transfer],
			settings: { pollInterval: 10 },
			actions: {
				"out.do": () => null,
				"out.undo": () => null,
				"in.undo": () => null,
				"in.do": (ctx: object) => {
					const { meta, requestID, params } = ctx as Context<object, { saga: object }>;
					seen.push({ branch: meta.saga, requestID, payload: params });
					if (isDown) throw new Error("down");
					return null;
				}
			}
		};
		const requestID = "0af7651916cd43dd8448eb211c80319c";
		const ctx = { requestID, id: "b7ad6b71-6920-3331-aaaa-000000000000", tracing: true };
		const first = await testSagas(database, setup);
		await first.sagas.run(transfer, { gid: "g1", payload: { amount: 30 }, wait: 100, ctx });
		await until("it was tried again", () => seen.length >= 2);
		await first.sagas.stop();
		isDown = false;
		const second = await testSagas(database, setup);
		await until("it succeeds", async () => (await second.sagas.outcome("g1")).status === "succeed");
		assert.ok(seen.length >= 3);
		for (const { branch, ...call } of seen)
			assert.deepEqual(
				{ ...call, branch: { ...branch, age: 0 } },
				{
					branch: { gid: "g1", step: "in", op: "action", age: 0 },
					requestID,
					payload: { amount: 30 }
				}
			);
	});

	it("concurrent with an order: what ran is rolled back, in the order backwards", async t => {
		const names = ["a", "b", "c", "d"];
		const after = { a: [], b: [], c: ["a"], d: ["b", "c"] } as Record<string, string[]>;
		const steps = names.map(name => ({
			name,
			action: `${name}.do`,
			compensate: `${name}.undo`,
			after: after[name] ?? []
		}));
		const dag = defineSaga({ name: "dag", version: 1, steps });
		const answers = { "c.do": fails(sagaFailure("no c")) };
		const { engine, begin, store, calls } = testEngine(await sagaDatabase(t, databases), [dag], answers);
		await engine.drive(await begin(dag, "g1"));
		assert.deepEqual(calls.slice(0, 3).sort(), ["a.do", "b.do", "c.do"]);
		assert.deepEqual(calls.slice(3).sort(), ["a.undo", "b.undo", "c.undo"]);
		assert.ok(calls.indexOf("c.undo") < calls.indexOf("a.undo"));
		assert.equal((await store.find("g1"))?.status, "failed");
	});

	it("wait for the result: success, and the reason of a failure (ours: a saga under way is neither)", async t => {
		const database = await sagaDatabase(t, databases);
		const gate = Promise.withResolvers<void>();
		const { sagas } = await testSagas(database, {
			definitions: [transfer],
			actions: {
				"out.do": () => null,
				"out.undo": () => null,
				"in.do": ({ params }) => {
					const { amount } = params as { amount: number };
					if (amount < 0) throw sagaFailure("no money");
					return amount > 100 ? gate.promise : null;
				},
				"in.undo": () => null
			},
			settings: { callTimeout: 1_900 }
		});
		const run = (amount: number, wait = 5_000) => sagas.run(transfer, { gid: `g${amount}`, payload: { amount }, wait });
		assert.equal((await run(30)).status, "succeed");
		const refused = await run(-1);
		assert.deepEqual([refused.status, refused.reason?.message], ["failed", "no money"]);
		const pending = await run(101, 20);
		assert.deepEqual([pending.status, pending.reason], ["pending", null]);
		gate.resolve();
		assert.equal((await run(101)).status, "succeed", "asked again under the same id");
	});
});
