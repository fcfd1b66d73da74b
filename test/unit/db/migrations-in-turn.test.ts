import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { DataTypes } from "sequelize";
import { DbMixin } from "../../../mixins/db.mixin.ts";

it("Services of one database that start together are migrated one after the other", async t => {
	let running = 0;
	let most = 0;
	const migrator = () => ({
		pending: async () => [],
		async up() {
			most = Math.max(most, ++running);
			await delay(5);
			running--;
			return [];
		}
	});
	const define = { id: { type: DataTypes.BIGINT, primaryKey: true } };
	const broker = new ServiceBroker({ logger: false });
	for (const name of ["order", "line"])
		broker.createService({
			name,
			mixins: [DbMixin({ model: { name, define }, migrator, url: () => "sqlite::memory:" })]
		});
	t.after(() => broker.stop());
	await broker.start();
	assert.equal(most, 1);
});
