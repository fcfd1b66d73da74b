import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { QueryTypes, type Sequelize } from "sequelize";
import type { AuditRecord } from "../../mixins/audit.mixin.ts";
import PointsService from "../../services/points/points.service.ts";
import { quiet, useEnvironment } from "../support/app.ts";
import { pointsOf, raceForPoints, raceForReference } from "../support/points.ts";

useEnvironment();
const broker = new ServiceBroker(quiet());
before(() => {
	broker.createService(PointsService);
	return broker.start();
});
after(() => broker.stop());

let users = 0;
const points = pointsOf(broker);
const { grant, revoke, spend, balance, history } = points;

async function recorded(): Promise<AuditRecord[]> {
	const { db } = broker.getLocalService("points") as unknown as { db: Sequelize };
	const rows = await db.query<{ payload: string }>("SELECT payload FROM outbox ORDER BY id", {
		type: QueryTypes.SELECT
	});
	return rows.map(({ payload }) => JSON.parse(payload));
}

describe("Points", () => {
	it("are granted once, however often the saga asks", async () => {
		const user = ++users;
		await Promise.all([grant(user, 10), grant(user, 10), grant(user, 10)]);
		assert.deepEqual(await grant(user, 10), { balance: 10 });
		assert.equal(await balance(user), 10);
		assert.equal((await history(user)).entries.length, 1);
	});

	it("are taken back once, and both stay in the ledger", async () => {
		const user = ++users;
		await grant(user, 10);
		await revoke(user, 10);
		await revoke(user, 10);
		assert.equal(await balance(user), 0);
		const { entries } = await history(user);
		assert.deepEqual(
			entries.map(({ kind, points, balance }) => [kind, points, balance]),
			[
				["revoke", -10, 0],
				["grant", 10, 10]
			]
		);
	});

	it("that were never granted are not taken back, and a grant that comes later is refused", async () => {
		const user = ++users;
		await revoke(user, 10);
		await assert.rejects(grant(user, 10), { type: "SAGA_FAILURE" });
		assert.equal(await balance(user), 0);
	});

	it("that were spent can not be taken back: the saga asks for a person", async () => {
		const user = ++users;
		await grant(user, 10);
		await spend(user, 8, "a");
		await assert.rejects(revoke(user, 10), { type: "POINTS_INSUFFICIENT" });
		assert.equal(await balance(user), 2);
	});

	it("of 50 who spend 3 of 100 points together, exactly 33 do", () => raceForPoints(points, ++users));

	it("of 20 who spend under one reference together, one does, and all get its answer", () =>
		raceForReference(points, ++users));

	it("are shown page by page, newest first, to their owner only", async () => {
		const user = ++users;
		await grant(user, 100);
		for (const reference of ["a", "b", "c"]) await spend(user, 1, reference);
		const first = await history(user, { limit: 3 });
		assert.deepEqual(
			first.entries.map(({ balance }) => balance),
			[97, 98, 99]
		);
		const second = await history(user, { limit: 3, cursor: first.next_cursor });
		assert.deepEqual(
			second.entries.map(({ balance }) => balance),
			[100]
		);
		assert.equal(second.next_cursor, null);
		assert.deepEqual((await history(++users)).entries, []);
	});

	it("leave one record of each change and each refusal in the transaction of the change, whatever is repeated", async () => {
		const user = ++users;
		await grant(user, 10);
		await grant(user, 10);
		await Promise.all([spend(user, 4, "order"), spend(user, 4, "order")]);
		await assert.rejects(spend(user, 40, "greed"), { type: "POINTS_INSUFFICIENT" });
		await assert.rejects(broker.call("points.grant", { user_id: user, points: 1 }), { type: "SAGA_FAILURE" });
		await assert.rejects(broker.call("points.spend", { user_id: user, points: 0, reference: "r" }));
		await assert.rejects(revoke(user, 10));
		await grant(user, 4, "another");
		await revoke(user, 4, "another");
		const records = (await recorded()).filter(({ object_id }) => object_id === String(user));
		assert.deepEqual(
			records.map(({ action, outcome, error, user_id }) => [action, outcome, error, user_id]),
			[
				["points.grant", "done", null, user],
				["points.spend", "done", null, null],
				["points.spend", "refused", "POINTS_INSUFFICIENT", null],
				["points.grant", "refused", "SAGA_FAILURE", null],
				["points.spend", "refused", "VALIDATION_ERROR", null],
				["points.revoke", "refused", "POINTS_INSUFFICIENT", null],
				["points.grant", "done", null, user],
				["points.revoke", "done", null, user]
			]
		);
		assert.deepEqual(records[1]?.details, { points: 4, reference: "order" });
	});

	it("of a user without an account are none", async () => assert.equal(await balance(++users), 0));

	for (const [what, params] of [
		["no points", { points: 0 }],
		["negative points", { points: -5 }],
		["a fraction", { points: 1.5 }],
		["too many", { points: 1_000_001 }],
		["an unknown field", { points: 1, balance: 5 }],
		["an empty reference", { points: 1, reference: "" }],
		["a reference that MySQL would take for another", { points: 1, reference: "order 1 " }],
		["a reference that is not ASCII", { points: 1, reference: "bücher" }]
	] as [string, object][])
		it(`refuse to be spent with ${what}`, () =>
			assert.rejects(broker.call("points.spend", { user_id: 1, reference: "r", ...params }), {
				type: "VALIDATION_ERROR"
			}));

	for (const action of ["create", "insert", "update", "remove"])
		it(`have no generic '${action}'`, () =>
			assert.rejects(broker.call(`points.${action}`), { type: "SERVICE_NOT_FOUND" }));
});
