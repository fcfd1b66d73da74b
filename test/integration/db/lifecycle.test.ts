import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { Errors, ServiceBroker } from "moleculer";
import { DbMixin, type Migrator } from "../../../mixins/db.mixin.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { mariadbDatabases, onEachDatabase, sqliteFiles } from "../../support/databases.ts";
import { Log, quietBroker } from "../../support/log.ts";
import { requireServers } from "../../support/servers.ts";
import { type ThingService, thingModel, thingService } from "../../support/things.ts";

function brokerFor(t: TestContext, log = new Log()): ServiceBroker {
	const broker = quietBroker(log);
	t.after(() => broker.stop());
	return broker;
}

const typed = (code: number, type: string) => (error: Partial<Errors.MoleculerError>) => {
	assert.deepEqual([error.code, error.type], [code, type]);
	return true;
};

await onEachDatabase("A service with the DB mixin", databases => {
	it("shares one pool with another service on the same URL, until the last one stops", async t => {
		const url = await databases.create();
		const broker = brokerFor(t);
		const first = broker.createService(thingService(url)) as ThingService;
		const other = { ...thingService(url, {}, { migrate: "off" }), name: "other" };
		const second = broker.createService(other) as ThingService;
		await broker.start();

		assert.equal(first.db, second.db);
		await broker.destroyService(first);
		assert.equal(await broker.call("other.count"), 0, "the other one still works");

		await broker.destroyService(second);
		await assert.rejects(second.db.authenticate(), /closed/);
	});

	it("can be started again on the same URL after everybody has stopped", async t => {
		const url = await databases.create();
		for (const name of ["first life", "second life"]) {
			const broker = quietBroker();
			broker.createService(thingService(url));
			await broker.start();
			await broker.call("thing.create", { name });
			await broker.stop();
		}
		const broker = brokerFor(t);
		broker.createService(thingService(url));
		await broker.start();
		assert.equal(await broker.call("thing.count"), 2);
	});

	it("takes the URL of its settings rather than that of the mixin, and keeps it from other nodes", async t => {
		const [ofMixin, ofSettings] = [await databases.create(), await databases.create()];
		const broker = brokerFor(t);
		broker.createService(thingService(ofMixin, { settings: { db: { url: ofSettings }, pageSize: 7 } }));
		await broker.start();
		await broker.call("thing.create", { name: "here" });

		const onMixin = quietBroker();
		onMixin.createService(thingService(ofMixin));
		await onMixin.start();
		assert.equal(await onMixin.call("thing.count"), 0);
		await onMixin.stop();

		const [service] = (await broker.call("$node.services", { onlyLocal: true, skipInternal: true })) as [object];
		assert.match(JSON.stringify(service), /pageSize":7/);
		assert.doesNotMatch(JSON.stringify(service), /"db"|\.sqlite|mysql:/);
	});

	it("knows its database and models when afterConnected is called and in started", async t => {
		const seen: unknown[] = [];
		const broker = brokerFor(t);
		const hooks = {
			async afterConnected(this: ThingService) {
				seen.push(await this.models.thing.count());
			},
			async started(this: ThingService) {
				await this.models.thing.create({ name: "made in started" });
				seen.push(this.db === this.adapter.db, await this.ready());
			}
		};
		broker.createService(thingService(await databases.create(), hooks as object));
		await broker.start();
		assert.deepEqual(seen, [0, true, true]);
	});

	it("logs the statements at debug level, without their values, and never the password", async t => {
		const log = new Log();
		const broker = brokerFor(t, log);
		const service = broker.createService(thingService(await databases.create())) as ThingService;
		await broker.start();
		await broker.call("thing.create", { name: "hunter2" });
		await broker.call("thing.insert", { entities: [{ name: "hunter2 it's \\" }, { name: "hunter2 'quoted'" }] });
		await broker.call("thing.find", { query: { name: "hunter2" } });
		await service.models.thing.update({ secret: "hunter2" }, { where: { name: "hunter2" } });

		const statements = log.texts("debug").filter(text => /`things`/.test(text));
		for (const verb of ["INSERT", "SELECT", "UPDATE"])
			assert.ok(
				statements.some(text => text.startsWith(verb)),
				`${verb} in ${statements}`
			);
		assert.doesNotMatch(log.lines.map(({ text }) => text).join("\n"), /hunter2|quoted/);
	});

	describe("with pending migrations", () => {
		const schema = { name: "thing" };
		function migrator(calls: string[]): () => Migrator {
			return () => ({
				async pending() {
					calls.push("pending");
					return ["2026-01-01-first", "2026-01-02-second"];
				},
				async up() {
					calls.push("up");
					return ["2026-01-01-first", "2026-01-02-second"];
				}
			});
		}
		const start = async (t: TestContext, migrate?: "auto" | "check" | "off") => {
			const log = new Log();
			const calls: string[] = [];
			const broker = brokerFor(t, log);
			const url = await databases.create();
			const mixin = DbMixin({ model: thingModel, url: () => url, migrator: migrator(calls), migrate });
			broker.createService({ ...schema, mixins: [mixin] });
			const error = await broker.start().then(
				() => undefined,
				(reason: Errors.MoleculerError) => reason
			);
			return { error, calls, log };
		};

		it(databases.dialect === "mysql" ? "does not start, by default" : "applies them at start, by default", async t => {
			const { error, calls } = await start(t);
			if (databases.dialect === "mysql") assert.equal(error?.type, "MIGRATIONS_PENDING");
			else assert.deepEqual([error, calls], [undefined, ["up"]]);
		});

		it("applies them in mode auto and logs their names", async t => {
			const { error, calls, log } = await start(t, "auto");
			assert.deepEqual([error, calls], [undefined, ["up"]]);
			assert.match(log.texts("info").join("\n"), /Migrations applied .*: 2026-01-01-first, 2026-01-02-second\./);
		});

		it("does not start in mode check; one message names them and the command", async t => {
			const { error, calls } = await start(t, "check");
			assert.deepEqual(calls, ["pending"]);
			assert.equal(error?.type, "MIGRATIONS_PENDING");
			assert.match(
				error?.message ?? "",
				/service 'thing' lacks 2 migration\(s\): 2026-01-01-first, 2026-01-02-second\. Run `npm run db:migrate`/
			);
		});

		it("does not look at them in mode off", async t => {
			const { error, calls } = await start(t, "off");
			assert.deepEqual([error, calls], [undefined, []]);
		});
	});
});

describe("An action of a service with the DB mixin", () => {
	const files = sqliteFiles();
	const start = async (t: TestContext, actions: object) => {
		const broker = brokerFor(t);
		const service = broker.createService(thingService(await files.create(), { actions } as object)) as ThingService;
		await broker.start();
		return { broker, service };
	};
	const definitionOf = (broker: ServiceBroker, name: string) =>
		(broker.registry.actions.list({}) as { name: string; action: object }[]).find(item => item.name === name)?.action;

	it("replaces the generic one as a whole: parameters, cache and handler are its own", async t => {
		const params = { $$strict: true, thing_id: "number" };
		const { broker } = await start(t, { get: { params, handler: (ctx: { params: object }) => ctx.params } });
		assert.deepEqual(await broker.call("thing.get", { thing_id: 1 }), { thing_id: 1 });
		await assert.rejects(broker.call("thing.get", { thing_id: 1, id: 1 }), typed(422, "VALIDATION_ERROR"));
	});

	it("stays public unless it says otherwise", async t => {
		const { broker } = await start(t, { get: () => "plain", list: { visibility: "published", handler: () => "own" } });
		assert.deepEqual([await broker.call("thing.get"), await broker.call("thing.list")], ["plain", "own"]);
		assert.equal((definitionOf(broker, "thing.get") as { visibility?: string }).visibility, "public");
		assert.equal((definitionOf(broker, "thing.list") as { visibility?: string }).visibility, "published");
	});

	it("can call the generic method behind the one it replaces", async t => {
		const create = {
			handler(this: ThingService, ctx: Parameters<ThingService["_create"]>[0]) {
				return this._create(ctx, { ...(ctx.params as object), secret: "from the service" });
			}
		};
		const { broker } = await start(t, { create });
		const { secret } = await broker.call<{ secret: string }, object>("thing.create", { name: "own" });
		assert.equal(secret, "from the service");
	});

	it("is gone when set to false", async t => {
		const { broker } = await start(t, { remove: false });
		await assert.rejects(broker.call("thing.remove", { id: 1 }), typed(404, "SERVICE_NOT_FOUND"));
	});

	it("is out of reach for others when made private, and still there for its service", async t => {
		const { broker, service } = await start(t, { create: { visibility: "private" } });
		await assert.rejects(broker.call("thing.create", { name: "x" }), typed(404, "SERVICE_NOT_FOUND"));
		await service.actions.create?.({ name: "from inside" });
		assert.equal(await broker.call("thing.count"), 1);
	});
});

describe("The start of a service with the DB mixin", () => {
	it("fails with a clear message when no URL is given", async t => {
		const broker = brokerFor(t);
		broker.createService({ name: "thing", mixins: [DbMixin({ model: thingModel })] });
		await assert.rejects(broker.start(), /Service 'thing' has no database URL/);
	});

	it("fails with a clear message, without the password, when the URL is of an unknown kind", async t => {
		const broker = brokerFor(t);
		broker.createService(thingService("postgres://root:hunter2@localhost/x"));
		await assert.rejects(broker.start(), (error: Error) => {
			assert.match(error.message, /Unknown database URL postgres:\/\/localhost\/x/);
			assert.doesNotMatch(error.message, /hunter2/);
			return true;
		});
	});

	it("waits until a SQLite file can be opened", async t => {
		const blocker = join(temporaryFolder("blocked"), "folder");
		writeFileSync(blocker, "a file where the folder should be");
		const log = new Log();
		const broker = brokerFor(t, log);
		broker.createService(thingService(`sqlite:${join(blocker, "thing.sqlite")}`));
		const started = broker.start();
		await log.until(/cannot be reached: .* Attempt 1, the next one in 0\.\d s/);
		rmSync(blocker);
		await started;
		assert.equal(await broker.call("thing.count"), 0);
	});
});

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
