import assert from "node:assert/strict";
import { it } from "node:test";
import { clockOf } from "../../../mixins/saga/database.ts";
import { defineSaga, type Step } from "../../../mixins/saga/definition.ts";
import { operatorStore } from "../../../mixins/saga/operator-store.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { rowsOf, trip as saga, sagaDatabase, type TestDatabase, testEngine, testSagas } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const HOUR_MS = 3_600_000;
const works = { "hotel.book": () => null, "car.rent": () => null, "mail.send": () => null };

/** Puts times of all sagas so far away from now. */
async function shift({ db }: TestDatabase, columns: readonly string[], milliseconds: number): Promise<void> {
	const set = columns.map(column => `${column} = ${clockOf(db).after(String(milliseconds))}`);
	await db.query(`UPDATE saga SET ${set.join(", ")}`);
}

await onEachDatabase("The owners of sagas", databases => {
	it("look, again and again, for those that the database's clock has left in the future, and drive them", async t => {
		const database = await sagaDatabase(t, databases);
		await testEngine(database, [saga], {}).begin(saga, "g1");
		await shift(database, ["updated_at", "lease_until", "next_run_at"], HOUR_MS);
		const { sagas } = await testSagas(database, {
			definitions: [saga],
			actions: works,
			settings: { standingInterval: 10 }
		});
		await until("it succeeds", async () => (await sagas.outcome("g1")).status === "succeed", 5_000);
	});

	it("ask for a person where a saga is long due that nobody knows, and let it be", async t => {
		const database = await sagaDatabase(t, databases);
		const newer = defineSaga({ ...saga, version: 2 });
		const { begin } = testEngine(database, [newer], {});
		await begin(newer, "g1");
		await shift(database, ["lease_until", "next_run_at"], -2 * 60_000);
		const { sagas } = await testSagas(database, {
			definitions: [saga],
			actions: works,
			settings: { standingInterval: 10 }
		});
		const shown = () => sagas.operator.show("g1");
		await until("a person is asked for", async () => (await shown()).needsAttention, 5_000);
		const { status, epoch, parked } = await shown();
		assert.deepEqual([status, Number(epoch), parked], ["submitted", 1, true]);
	});

	it("hear of an end in their own process, and need not look for it", async t => {
		// Who waits would look each time that this one is over.
		t.mock.method(AbortSignal, "timeout", () => new AbortController().signal);
		let isBroken = false;
		const answer = () => {
			if (isBroken) throw new Error("down");
			return null;
		};
		const { sagas } = await testSagas(await sagaDatabase(t, databases), {
			definitions: [saga],
			actions: { ...works, "car.rent": answer, "car.return": answer },
			settings: { backoff: { base: 1e12, cap: 1e12 }, attentionAfter: 1 }
		});
		const ends: string[] = [];
		const run = async (gid: string) => {
			const { status } = await sagas.run(saga, { gid, payload: {}, wait: HOUR_MS });
			ends.push(`${gid} ${status}`);
		};
		void run("g1");
		await until("the first has ended", () => ends.length === 1, 5_000);

		isBroken = true;
		void run("g2");
		const by = { gid: "g2", actor: "7", reason: "the car is ours" };
		for (const direction of ["submitted", "aborting"]) {
			await until(`it waits: ${direction}`, async () => {
				const waiting = await sagas.store.find(by.gid);
				return waiting?.status === direction && (waiting.steps[1]?.attempts ?? 0) > 0;
			});
			await sagas.operator.fail(by);
		}
		await until("the second has ended", () => ends.length === 2, 5_000);
		assert.deepEqual(ends, ["g1 succeed", "g2 failed"]);
	});

	it("ask for nobody any more once a step was skipped", async t => {
		const database = await sagaDatabase(t, databases);
		const { begin, store } = testEngine(database, [saga], {});
		const begun = await begin(saga, "g1");
		const error = { type: "X", message: "down" };
		await store.delay(begun, saga.steps[0] as Step, { error, wait: 60_000, failed: true, attention: true });
		assert.equal((await store.find("g1"))?.needsAttention, true);
		await operatorStore(database).skip(begun, "hotel", { kind: "skipped", step: "hotel", actor: "7" });
		const skipped = await store.find("g1");
		assert.deepEqual(
			[skipped?.needsAttention, skipped?.steps[0]?.action, skipped?.steps[0]?.attempts, skipped?.steps[0]?.wait],
			[false, "skipped", 0, 0]
		);
		const [last] = (await rowsOf(database, "saga_event")).slice(-1);
		assert.deepEqual([last?.kind, last?.step, last?.actor], ["skipped", "hotel", "7"]);
	});
});
