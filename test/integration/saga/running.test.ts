import assert from "node:assert/strict";
import { it } from "node:test";
import { Errors } from "moleculer";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { participants as actions, sagaDatabase, testSagas, paidTrip as trip } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

await onEachDatabase("Sagas that run", databases => {
	it("R10: a run answers the end when it comes in time", async t => {
		const { sagas } = await testSagas(await sagaDatabase(t, databases), { definitions: [trip], actions: actions() });
		const { gid, status, reason, isNew } = await sagas.run(trip, { payload: { who: "ann" }, wait: 5_000 });
		assert.deepEqual([status, reason, isNew], ["succeed", null, true]);
		assert.match(gid, /^[\w-]{22}$/);
		assert.deepEqual(await sagas.outcome(gid), { gid, status, reason });
	});

	it("R10: a run answers the reason of a failure", async t => {
		const broken = { "car.rent": sagaFailure("no car") };
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken)
		});
		const { status, reason } = await sagas.run(trip, { payload: { who: "ann" }, wait: 5_000 });
		assert.deepEqual([status, reason], ["failed", { type: "SAGA_FAILURE", message: "no car", step: "car" }]);
	});

	it("R10: a run answers pending when the time is over, and the saga goes on without the caller", async t => {
		const { "car.rent": _rent, "car.return": _return, ...others } = actions();
		const { sagas, broker } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: others
		});
		const { gid, status } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		assert.equal(status, "pending");
		broker.createService({ name: "car", actions: { rent: () => null } });
		await until("it succeeds", async () => (await sagas.outcome(gid)).status === "succeed");
	});

	it("R10: a run under an id that another process drives waits for that process", async t => {
		const database = await sagaDatabase(t, databases);
		const gate = Promise.withResolvers<void>();
		const slow = { ...actions(), "car.rent": () => gate.promise };
		const settings = { callTimeout: 1_900 };
		const first = await testSagas(database, { definitions: [trip], actions: slow, settings });
		const second = await testSagas(database, { definitions: [trip], actions: slow, settings });
		const options = { gid: "g1", payload: { who: "ann" }, wait: 5_000 };
		const one = first.sagas.run(trip, options);
		await until("it is stored", async () => (await second.sagas.store.find("g1")) !== null);
		const other = second.sagas.run(trip, options);
		gate.resolve();
		assert.deepEqual([(await one).isNew, (await other).isNew], [true, false]);
		assert.equal((await other).status, "succeed");
	});

	it("R5: each try of the engine is one call, although the broker retries and caches", async t => {
		let calls = 0;
		const car = {
			cache: true,
			handler() {
				if (++calls < 3) throw new Errors.MoleculerRetryableError("down", 500);
				return null;
			}
		};
		const { sagas, broker } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: { ...actions(), "car.rent": car as never },
			broker: { cacher: "Memory", metrics: true, retryPolicy: { enabled: true, retries: 5, delay: 1 } }
		});
		const tries = (outcome: string) => {
			const metric = broker.metrics.getMetric("saga.step.tries.total");
			const labels = { saga: "trip", step: "car", op: "action", outcome };
			return (metric?.get(labels) as { value: number } | null)?.value ?? 0;
		};
		for (const [runs, gid] of ["g1", "g2"].entries()) {
			assert.equal((await sagas.run(trip, { gid, payload: { who: "ann" }, wait: 5_000 })).status, "succeed");
			assert.deepEqual([calls, tries("retry"), tries("succeed")], [3 + runs, 2, 1 + runs]);
		}
	});

	it("R12: a saga that was put off is looked for when its pause is over, not at the next poll", async t => {
		let calls = 0;
		const flaky = () => {
			if (++calls === 1) throw new Error("down");
			return null;
		};
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: { ...actions(), "car.rent": flaky },
			settings: { pollInterval: 3_600_000 }
		});
		assert.equal((await sagas.run(trip, { payload: { who: "ann" }, wait: 5_000 })).status, "succeed");
	});

	it("a coordinator goes on with what a process left that was stopped", async t => {
		const database = await sagaDatabase(t, databases);
		const down = await testSagas(database, {
			definitions: [trip],
			actions: actions({ "car.rent": new Error("down") })
		});
		const { gid } = await down.sagas.run(trip, { payload: { who: "ann" }, wait: 10 });
		await down.sagas.stop();
		const { sagas } = await testSagas(database, { definitions: [trip], actions: actions() });
		await until("it succeeds", async () => (await sagas.outcome(gid)).status === "succeed");
	});

	it("R14: a resumed attempt is a new span of the trace that the saga began in, linked to its beginning", async t => {
		const database = await sagaDatabase(t, databases);
		const spans: { name: string; traceID: string; parentID: string; tags: Record<string, unknown> }[] = [];
		const finished = (span: never) => spans.push(span);
		const tracing = { enabled: true, exporter: { type: "Event", options: { interval: null } } };
		const broker = { tracing };
		const down = { definitions: [trip], actions: actions({ "car.rent": new Error("down") }), broker };
		const first = await testSagas(database, down);
		const requestID = "0af7651916cd43dd8448eb211c80319c";
		const ctx = { requestID, id: "b7ad6b71-6920-3331-aaaa-000000000000", tracing: true } as never;
		const { gid } = await first.sagas.run(trip, { payload: { who: "ann" }, wait: 30, ctx });
		await first.sagas.stop();
		assert.equal(
			(await first.sagas.store.find(gid))?.traceparent,
			"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		);

		const second = await testSagas(database, { definitions: [trip], actions: actions(), broker });
		second.broker.tracer.spanFinished = finished;
		await until("it succeeds", async () => (await second.sagas.outcome(gid)).status === "succeed");
		await until("the span has ended", () => spans.some(({ name }) => name === "saga trip"));
		const drive = spans.find(({ name }) => name === "saga trip");
		assert.deepEqual([drive?.traceID, drive?.parentID], [requestID, "b7ad6b7169203331"]);
		assert.equal(drive?.tags.follows_from, `${requestID}:b7ad6b7169203331`);
		const call = spans.find(({ name }) => name === "action 'car.rent'");
		assert.equal(call?.traceID, requestID, "the branch's span belongs to the same trace");
	});
});
