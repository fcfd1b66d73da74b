import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Sequelize } from "sequelize";
import { mariadbDatabases } from "../../support/databases.ts";
import { brokerFor, Log, quietBroker, typed } from "../../support/log.ts";
import { requireServers } from "../../support/servers.ts";
import { type ThingService, thingService } from "../../support/things.ts";

describe("A service with the DB mixin on a MariaDB that is away", await requireServers("mariadb"), () => {
	const databases = mariadbDatabases();

	it("waits for it at start and says so each time", async t => {
		const url = await databases.create();
		await databases.server.stop();
		const log = new Log();
		const broker = brokerFor(t, log);
		const service = broker.createService(thingService(url.replace("root@", "root:@"))) as ThingService;
		const started = broker.start();
		await log.until(/Database mysql:\/\/127\.0\.0\.1:\d+\/test_\d+ cannot be reached: connect ECONNREFUSED/, 3);
		await databases.server.start();
		await started;
		assert.equal(await broker.call("thing.count"), 0);
		assert.equal(await service.ready(), true);
	});

	it("stops at once while it is still waiting, and lets go of the connection", async t => {
		const url = await databases.create();
		await databases.server.stop();
		t.after(() => databases.server.start());
		const log = new Log();
		const broker = quietBroker(log);
		const service = broker.createService(thingService(url)) as ThingService;
		const failed = assert.rejects(broker.start(), typed(503, "SERVICE_STOPPED"));
		await log.until(/cannot be reached/);
		await broker.stop();
		await failed;
		await assert.rejects(service.adapter.db.authenticate(), /closed/);
	});

	it("answers 503 to ready as long as it is away, and works again when it is back", async t => {
		const url = await databases.create();
		const broker = brokerFor(t);
		broker.createService(thingService(url));
		await broker.start();
		await broker.call("thing.create", { name: "before" });

		await databases.server.kill();
		await assert.rejects(broker.call("thing.ready"), typed(503, "DATABASE_UNAVAILABLE"));
		await assert.rejects(broker.call("thing.count"));

		await databases.server.start();
		assert.equal(await broker.call("thing.ready"), true);
		await broker.call("thing.create", { name: "after" });
		assert.equal(await broker.call("thing.count"), 2);
	});

	it("answers 503 to ready when it hangs", async t => {
		const broker = brokerFor(t);
		broker.createService(thingService(await databases.create()));
		await broker.start();
		databases.server.pause();
		t.after(() => databases.server.resume());
		await assert.rejects(broker.call("thing.ready"), typed(503, "DATABASE_UNAVAILABLE"));
		databases.server.resume();
		assert.equal(await broker.call("thing.ready"), true);
	});

	it("gives a connection up on which it is silent, and needs no others to be", async t => {
		const broker = brokerFor(t);
		const connection = { answerTimeout: 1_000 };
		const service = broker.createService(thingService(await databases.create(), {}, { connection })) as ThingService;
		await broker.start();
		await assert.rejects(service.db.query("SELECT SLEEP(60)"), /has not answered for 1000 ms/);
		assert.equal(await broker.call("thing.count"), 0);
	});

	it("lets a migration take as long as it does", async t => {
		const broker = brokerFor(t);
		const migrator = (db: Sequelize) => ({
			pending: async () => [],
			async up() {
				await db.query("SELECT SLEEP(1)");
				return [];
			}
		});
		const options = { connection: { answerTimeout: 300 }, migrate: "auto", migrator } as const;
		broker.createService(thingService(await databases.create(), {}, options));
		await broker.start();
	});

	it("stops also while a query hangs, which is then cut off", async () => {
		const log = new Log();
		const broker = quietBroker(log);
		const connection = { closeTimeout: 100 };
		const schema = thingService(await databases.create(), {}, { connection });
		const service = broker.createService(schema) as ThingService;
		await broker.start();
		const cutOff = assert.rejects(service.db.query("SELECT SLEEP(60)"), /closed|lost/i);
		await log.until(/^SELECT SLEEP/);
		await broker.stop();
		await cutOff;
	});
});
