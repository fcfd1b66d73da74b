import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { acquire } from "../../mixins/db/connection.ts";
import { migrate } from "../../models/migrator.ts";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import { quiet, useEnvironment } from "../support/app.ts";
import { type Points, pointsOf, raceForPoints, raceForReference } from "../support/points.ts";
import { requireServers } from "../support/servers.ts";

describe("Points on MariaDB, by two nodes", await requireServers("mariadb"), () => {
	const brokers: ServiceBroker[] = [];
	let server: MariadbServer;
	let points: Points;
	let users = 0;

	before(async () => {
		server = await startMariadb({ durable: false });
		useEnvironment({ DATABASE_URL: `${server.url}/{service}` });
		const { sequelize, release } = acquire(await server.createDatabase("points"));
		await migrate(sequelize, "points");
		await release();
		const { default: PointsService } = await import("../../services/points/points.service.ts");
		for (const nodeID of ["points-1", "points-2"]) {
			const broker = new ServiceBroker(quiet({ nodeID }));
			broker.createService(PointsService);
			brokers.push(broker);
		}
		await Promise.all(brokers.map(broker => broker.start()));
		points = pointsOf(...brokers);
	});
	after(async () => {
		await Promise.all(brokers.map(broker => broker.stop()));
		await server?.stop();
	});

	it("of 50 who spend 3 of 100 points together, exactly 33 do, five times", async () => {
		for (let round = 0; round < 5; round++) await raceForPoints(points, ++users);
	});

	it("of 20 who spend under one reference together, one does, and all get its answer, five times", async () => {
		for (let round = 0; round < 5; round++) await raceForReference(points, ++users);
	});

	it("are granted and taken back once, however often both are asked for together", async () => {
		const user = ++users;
		await points.grant(user, 10);
		const times = Array.from({ length: 10 });
		await Promise.all(times.flatMap(() => [points.grant(user, 10), points.revoke(user, 10)]));
		assert.equal(await points.balance(user), 0);
		const { entries } = await points.history(user);
		assert.deepEqual(
			entries.map(({ kind, balance }) => [kind, balance]),
			[
				["revoke", 0],
				["grant", 10]
			]
		);
	});
});
