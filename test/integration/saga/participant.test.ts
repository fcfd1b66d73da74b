import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { Housekeeping } from "../../../mixins/saga/housekeeping.ts";
import { type ParticipantMethods, ParticipantMixin } from "../../../mixins/saga/participant.mixin.ts";
import { quiet } from "../../support/app.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { rowsOf, sagaDatabase } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const DAY_MS = 24 * 3_600_000;

await onEachDatabase("A participant of sagas", databases => {
	it("keeps its barrier rows for as long as it says: it begins no branch whose rows may be gone, and deletes older ones", async t => {
		const database = await sagaDatabase(t, databases);
		const broker = new ServiceBroker(quiet());
		const stop = t.mock.method(Housekeeping.prototype, "stop");
		const service = broker.createService({
			name: "hotel",
			mixins: [ParticipantMixin({ retention: 8 * DAY_MS, retentionInterval: 10 })],
			created() {
				Object.assign(this, { db: database.db, transaction: database.transaction });
			}
		}) as unknown as ParticipantMethods;
		await broker.start();
		const branch = (gid: string, age: number) =>
			service.branch({ meta: { saga: { gid, step: "book", op: "action", age } }, broker }, async () => gid);
		await assert.rejects(branch("old", 7.5 * DAY_MS), /too old/);
		assert.equal(await branch("young", 6.5 * DAY_MS), "young");
		await branch("gone", 0);
		const kept = async () => (await rowsOf(database, "saga_barrier")).map(({ gid }) => gid);
		const earlier = databases.dialect === "sqlite" ? "'2020-01-01 00:00:00.000'" : "'2020-01-01'";
		await database.db.query(`UPDATE saga_barrier SET created_at = ${earlier} WHERE gid = 'gone'`);
		await until("the old one is deleted", async () => (await kept()).length === 1);
		assert.deepEqual(await kept(), ["young"]);
		await broker.stop();
		assert.equal(stop.mock.callCount(), 1);
	});
});
