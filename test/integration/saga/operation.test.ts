import assert from "node:assert/strict";
import { it } from "node:test";
import { Errors, ServiceBroker } from "moleculer";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { sagaFailure } from "../../../mixins/saga/errors.ts";
import { registerMetrics, showStanding } from "../../../mixins/saga/metrics.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { sagaDatabase, testSagas } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

interface Trip {
	who: string;
	card?: string;
}

const trip = defineSaga<Trip>({
	name: "trip",
	version: 1,
	secret: ["card"],
	steps: [
		{ name: "hotel", action: "hotel.book", compensate: "hotel.cancel" },
		{ name: "car", action: "car.rent", compensate: "car.return" }
	]
});
/** Pauses of years. */
const never = { backoff: { base: 1e12, cap: 1e12 } };
const by = (gid: string) => ({ gid, actor: "7", reason: "the car is ours" });

/** Participants; those named answer with an error. */
const actions = (broken: Record<string, Error> = {}) =>
	Object.fromEntries(
		["hotel.book", "hotel.cancel", "car.rent", "car.return"].map(name => [
			name,
			() => {
				if (broken[name]) throw broken[name];
				return null;
			}
		])
	);

await onEachDatabase("Sagas in operation", databases => {
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

	it("R13: a list and a saga show no secret field, and nothing of a payload whose definition is unknown", async t => {
		const database = await sagaDatabase(t, databases);
		const { sagas } = await testSagas(database, { definitions: [trip], actions: actions() });
		const { gid } = await sagas.run(trip, { payload: { who: "ann", card: "4111" }, wait: 5_000 });
		const [listed] = await sagas.operator.list({ limit: 10 });
		assert.deepEqual(listed?.payload, { who: "ann" });
		assert.deepEqual((await sagas.operator.show(gid)).payload, { who: "ann" });
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
