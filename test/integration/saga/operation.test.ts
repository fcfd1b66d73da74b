import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { registerMetrics, showStanding } from "../../../mixins/saga/metrics.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { participants as actions, sagaDatabase, testSagas, paidTrip as trip } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

/** Pauses of years. */
const never = { backoff: { base: 1e12, cap: 1e12 } };
const by = (gid: string) => ({ gid, actor: "7", reason: "the car is ours" });

await onEachDatabase("Sagas in operation", databases => {
	it("R13: a list and a saga show no secret field, and nothing of a payload whose definition is unknown", async t => {
		const database = await sagaDatabase(t, databases);
		const { sagas } = await testSagas(database, { definitions: [trip], actions: actions() });
		const { gid } = await sagas.run(trip, { payload: { who: "ann", card: "4111" }, wait: 5_000 });
		const [listed] = await sagas.operator.list({ limit: 10 });
		assert.deepEqual(listed?.payload, { who: "ann" });
		const shown = await sagas.operator.show(gid);
		assert.deepEqual(shown.payload, { who: "ann" });
		for (const view of [listed, shown])
			assert.equal("payloadHash" in (view as object), false, "a card number is soon guessed");
		const other = await testSagas(database, { definitions: [], actions: {} });
		assert.deepEqual((await other.sagas.operator.show(gid)).payload, {});
	});

	it("R13: retry tries a waiting step at once and tells who asked for it, and why", async t => {
		const broken: Record<string, Error> = { "car.rent": new Error("down") };
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken),
			settings: never
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		await until("it waits", async () => ((await sagas.store.find(gid))?.steps[1]?.wait ?? 0) > 60_000);
		delete broken["car.rent"];
		await sagas.operator.retry(by(gid));
		await until("it succeeds", async () => (await sagas.outcome(gid)).status === "succeed");

		const { timeline } = await sagas.operator.show(gid);
		assert.deepEqual(
			timeline.map(({ what, step }) => (step ? `${what} ${step}` : what)).filter(what => what !== "claimed"),
			["submitted", "done hotel", "tryFailed car", "retried", "done car", "succeed"]
		);
		const retried = timeline.find(({ what }) => what === "retried");
		assert.deepEqual([retried?.actor, retried?.reason], ["7", "OPERATOR: the car is ours"]);
		assert.equal(timeline.find(({ what }) => what === "tryFailed")?.reason, "Error: down");
	});

	it("R13: skip takes a step for done without calling it, in both directions", async t => {
		const broken = { "car.rent": sagaFailure("no car"), "car.return": new Error("down") };
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken),
			settings: never
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		await until("it waits", async () => ((await sagas.store.find(gid))?.steps[1]?.wait ?? 0) > 60_000);
		await assert.rejects(sagas.operator.skip({ ...by(gid), step: "plane" }), { type: "SAGA_STEP_NOT_OPEN" });
		await sagas.operator.skip({ ...by(gid), step: "car" });
		await until("it has failed", async () => (await sagas.outcome(gid)).status === "failed");
		const saga = await sagas.operator.show(gid);
		assert.deepEqual(
			saga.steps.map(step => step.compensation),
			["succeed", "skipped"]
		);
	});

	it("R13: fail rolls a saga back, and ends one that cannot be rolled back", async t => {
		const broken = { "car.rent": new Error("down"), "car.return": new Error("down too") };
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken),
			settings: { ...never, attentionAfter: 1 }
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		await sagas.operator.fail(by(gid));
		await until("its rollback asks for a person", async () => {
			const saga = await sagas.store.find(gid);
			return saga?.status === "aborting" && saga.needsAttention;
		});
		await sagas.operator.fail(by(gid));
		const end = await sagas.outcome(gid);
		assert.deepEqual([end.status, end.reason?.message], ["failed", "the car is ours"]);
		await assert.rejects(sagas.operator.fail(by(gid)), { type: "SAGA_FINISHED" });
		await assert.rejects(sagas.operator.retry(by("none")), { type: "SAGA_NOT_FOUND" });
	});

	it("R13: a second fail does not end a rollback that asks for nobody", async t => {
		const broken: Record<string, Error> = { "car.rent": new Error("down"), "car.return": new Error("down too") };
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken),
			settings: never
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		await sagas.operator.fail(by(gid));
		await assert.rejects(sagas.operator.fail(by(gid)), { type: "SAGA_GOES_BACK", code: 409 });
		await until("its rollback waits", async () => ((await sagas.store.find(gid))?.steps[1]?.wait ?? 0) > 60_000);
		delete broken["car.return"];
		await sagas.operator.retry(by(gid));
		await until("it has failed", async () => (await sagas.outcome(gid)).status === "failed");
		const { steps } = await sagas.operator.show(gid);
		assert.deepEqual(
			steps.map(({ compensation }) => compensation),
			["succeed", "succeed"]
		);
	});

	it("R13: of interventions at once, each is made or refused, and the timeline tells which", async t => {
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions({ "car.rent": new Error("down") }),
			settings: never
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		const settled = await Promise.allSettled(Array.from({ length: 20 }, () => sagas.operator.retry(by(gid))));
		const refused = settled.flatMap(({ status, ...end }) =>
			status === "rejected" ? [(end as PromiseRejectedResult).reason.type] : []
		);
		assert.deepEqual(
			[...new Set(refused)].filter(type => type !== "SAGA_BUSY"),
			[]
		);
		const { timeline } = await sagas.operator.show(gid);
		assert.equal(timeline.filter(({ what }) => what === "retried").length, settled.length - refused.length);
	});

	it("R13: who drives a saga is fenced out by an intervention", async t => {
		const gate = Promise.withResolvers<void>();
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: { ...actions(), "car.rent": () => gate.promise },
			settings: { callTimeout: 1_900 }
		});
		const run = sagas.run(trip, { gid: "g1", payload: { who: "ann" }, wait: 5_000 });
		await until("the call is out", async () => (await sagas.store.find("g1"))?.steps[0]?.action === "succeed");
		await sagas.operator.fail(by("g1"));
		gate.resolve();
		const { status, reason } = await run;
		assert.deepEqual([status, reason?.type], ["failed", "OPERATOR"]);
	});

	it("R14: owners in one process have gauges of their own", async t => {
		const owner = new ServiceBroker({ logger: false, metrics: true });
		t.after(() => owner.stop());
		await owner.start();
		const value = (service: string) =>
			(owner.metrics.getMetric("saga.stuck")?.get({ service } as never) as { value: number } | null)?.value;
		registerMetrics(owner);
		showStanding(owner, "orders", { unfinished: 1, needingAttention: 1, oldest: 5 });
		showStanding(owner, "returns", { unfinished: 0, needingAttention: 0, oldest: 0 });
		assert.deepEqual([value("orders"), value("returns")], [1, 0]);
	});

	it("R14: metrics count sagas and tries, and show what is stuck", async t => {
		const broken = { "car.rent": sagaFailure("no car"), "car.return": new Error("down") };
		const { sagas, broker } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: actions(broken),
			settings: { ...never, attentionAfter: 1, standingInterval: 20 },
			broker: { metrics: true }
		});
		const { gid } = await sagas.run(trip, { payload: { who: "ann" }, wait: 30 });
		const value = (name: string, labels: object = { service: "trips" }) =>
			(broker.metrics.getMetric(name)?.get(labels as never) as { value: number } | null)?.value;
		await until("the gauges show it", () => value("saga.stuck") === 1);
		assert.equal(value("saga.unfinished"), 1);
		assert.ok((value("saga.oldest.seconds") ?? 0) > 0);
		assert.equal(value("saga.started.total", { saga: "trip" }), 1);
		const tries = { saga: "trip", step: "car", op: "action", outcome: "failure" };
		assert.equal(value("saga.step.tries.total", tries), 1);

		await sagas.operator.fail(by(gid));
		assert.equal(value("saga.finished.total", { saga: "trip", status: "failed" }), 1);
	});
});
