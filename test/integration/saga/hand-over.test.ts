import assert from "node:assert/strict";
import { it } from "node:test";
import { onEachDatabase } from "../../support/databases.ts";
import { fails, sagaDatabase, testEngine, testSagas, trip } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const NEVER = 3_600_000;
const by = { actor: "7", reason: "the car is ours" };

await onEachDatabase("A saga that is handed over", databases => {
	it("goes on at once after an operator has intervened, however long leases and polls are", async t => {
		let isBroken = true;
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [trip],
			actions: {
				"hotel.book": () => null,
				"car.rent": () => (isBroken ? fails(new Error("down"))() : null),
				"mail.send": () => null
			},
			settings: { lease: NEVER, pollInterval: NEVER, backoff: { base: 1e12, cap: 1e12 } }
		});
		await sagas.run(trip, { gid: "g1", payload: {}, wait: 10 });
		await until("it waits", async () => ((await sagas.store.find("g1"))?.steps[1]?.attempts ?? 0) > 0);
		isBroken = false;
		await sagas.operator.retry({ ...by, gid: "g1" });
		await until("it succeeds", async () => (await sagas.outcome("g1")).status === "succeed");
	});

	it("keeps the answer of a step that is done: an operator can not skip it", async t => {
		const database = await sagaDatabase(t, databases);
		const { sagas } = await testSagas(database, {
			definitions: [trip],
			actions: { "hotel.book": () => ({ room: 7 }), "car.rent": fails(new Error("down")) },
			settings: { backoff: { base: 1e12, cap: 1e12 } }
		});
		await sagas.run(trip, { gid: "g1", payload: {}, wait: 10 });
		await until("it waits", async () => ((await sagas.store.find("g1"))?.steps[1]?.attempts ?? 0) > 0);
		await assert.rejects(sagas.operator.skip({ ...by, gid: "g1", step: "hotel" }), { type: "SAGA_STEP_NOT_OPEN" });
		const [hotel] = (await sagas.store.find("g1"))?.steps ?? [];
		assert.deepEqual([hotel?.action, hotel?.result], ["succeed", { room: 7 }]);
	});

	it("is not renewed any more once it is given back: it would be kept for nobody", async t => {
		t.mock.timers.enable({ apis: ["setInterval"] });
		const { engine, store, begin } = testEngine(await sagaDatabase(t, databases), [trip], {
			"hotel.book": fails(new Error("down"))
		});
		const renew = t.mock.method(store, "renew");
		const release = store.release;
		t.mock.method(store, "release", (...args: Parameters<typeof release>) => {
			t.mock.timers.tick(NEVER);
			return release(...args);
		});
		await engine.drive(await begin(trip, "g1"));
		assert.equal(renew.mock.callCount(), 0);
	});
});
