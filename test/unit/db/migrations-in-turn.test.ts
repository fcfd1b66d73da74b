import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { DataTypes, type Sequelize } from "sequelize";
import { DbMixin, type DbOptions } from "../../../mixins/db.mixin.ts";

const define = { id: { type: DataTypes.BIGINT, primaryKey: true } };

/** A broker that is not started, with two services of one database. */
function twoServices(migrator: NonNullable<DbOptions["migrator"]>): ServiceBroker {
	const broker = new ServiceBroker({ logger: false });
	for (const name of ["order", "line"])
		broker.createService({
			name,
			mixins: [DbMixin({ model: { name, define }, migrator, url: () => "sqlite::memory:" })]
		});
	return broker;
}

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
	const broker = twoServices(migrator);
	t.after(() => broker.stop());
	await broker.start();
	assert.equal(most, 1);
});

it("A stop lets the migration that is running end, and none begin after it", async () => {
	const [begun, stopping] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	const outcomes: string[] = [];
	const migrator = (db: Sequelize) => ({
		pending: async () => [],
		async up() {
			begun.resolve();
			await stopping.promise;
			outcomes.push(
				await db.authenticate().then(
					() => "ended",
					() => "cut off"
				)
			);
			return [];
		}
	});
	const broker = twoServices(migrator);
	broker.createService({ name: "last", stopped: () => stopping.resolve() });
	const cutShort = assert.rejects(broker.start(), { type: "SERVICE_STOPPED" });
	await begun.promise;
	await Promise.all([broker.stop(), cutShort]);
	assert.deepEqual(outcomes, ["ended"]);
});
