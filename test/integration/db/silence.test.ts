import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { QueryTypes } from "sequelize";
import { acquire } from "../../../mixins/db/connection.ts";
import { exclusively } from "../../../models/migration-lock.ts";
import { mariadbDatabases } from "../../support/databases.ts";
import { requireServers } from "../../support/servers.ts";

describe("A process that is silent at MariaDB", await requireServers("mariadb"), () => {
	const databases = mariadbDatabases();

	it("loses its transaction, so that others get on", async t => {
		const url = await databases.create();
		const { sequelize, release } = acquire(url, { silenceTimeout: 1 });
		t.after(release);
		await sequelize.query("CREATE TABLE things (id INT PRIMARY KEY, number INT)");
		await sequelize.query("INSERT INTO things VALUES (1, 0)");
		const silent = await sequelize.transaction();
		await sequelize.query("UPDATE things SET number = 1", { transaction: silent });
		await sequelize.query("UPDATE things SET number = number + 10");
		const [row] = await sequelize.query<{ number: number }>("SELECT number FROM things", { type: QueryTypes.SELECT });
		assert.equal(row?.number, 10);
		await assert.rejects(sequelize.query("UPDATE things SET number = 2", { transaction: silent }));
		await silent.rollback().catch(() => {});
	});

	it("keeps the lock of a migration for as long as it takes", async t => {
		const url = await databases.create();
		const { sequelize, release } = acquire(url, { silenceTimeout: 1 });
		t.after(release);
		const order: string[] = [];
		const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
		const slow = exclusively(sequelize, "note", async transaction => {
			begin();
			for (let i = 0; i < 5; i++) {
				await sequelize.query("SELECT SLEEP(0.5)", { transaction });
				order.push("slow");
			}
		});
		await begun;
		await exclusively(sequelize, "note", async () => void order.push("next"));
		await slow;
		assert.deepEqual(order, [...Array<string>(5).fill("slow"), "next"]);
	});
});
