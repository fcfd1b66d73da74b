import assert from "node:assert/strict";
import { it } from "node:test";
import { clockOf } from "../../../mixins/saga/database.ts";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { sagaDatabase, testEngine } from "../../support/sagas.ts";

const HOUR_MS = 3_600_000;
const definition = defineSaga({ name: "short", version: 1, steps: [{ name: "only", action: "only.do" }] });

await onEachDatabase("A saga whose database's clock was set back by an hour", databases => {
	it("is due and goes to one coordinator, as if its lease had ended", async t => {
		const database = await sagaDatabase(t, databases);
		const { store, begin, finish } = testEngine(database, [definition], { "only.do": () => null });
		await begin(definition, "g1");
		assert.deepEqual(await store.due([definition], 10), [], "leased");
		const ahead = clockOf(database.db).after(String(HOUR_MS));
		await database.db.query(`UPDATE saga SET updated_at = ${ahead}, lease_until = ${ahead}, next_run_at = ${ahead}`);

		assert.deepEqual(
			(await store.due([definition], 10)).map(({ gid, epoch }) => ({ gid, epoch: Number(epoch) })),
			[{ gid: "g1", epoch: 1 }]
		);
		const claim = (owner: string) => store.claim("g1", 1, { owner, lease: 2_000 });
		const claims = await Promise.all(["one", "two", "three"].map(claim));
		assert.equal(claims.filter(Boolean).length, 1);
		assert.equal(await store.claim("g1", 2, { owner: "four", lease: 2_000 }), null, "leased by the clock as it is now");
		assert.equal((await finish("g1"))?.status, "succeed");
	});
});
