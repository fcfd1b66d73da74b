import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Errors } from "moleculer";
import { DbMixin, type Migrator } from "../../../mixins/db.mixin.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { brokerFor, Log, quietBroker } from "../../support/log.ts";
import { type ThingService, thingModel, thingService } from "../../support/things.ts";

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
		const start = async (t: TestContext, migrate?: "auto" | "check" | "off", more: object = {}) => {
			const log = new Log();
			const calls: string[] = [];
			const broker = brokerFor(t, log);
			const url = await databases.create();
			const mixin = DbMixin({ model: thingModel, url: () => url, migrator: migrator(calls), migrate, ...more });
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

		it("names another command where it is told one, and its own where that is undefined", async t => {
			const asked = async (migrateCommand: string | undefined) => {
				const { error } = await start(t, "check", { migrateCommand, connection: undefined });
				return /Run `(.*)`/.exec(error?.message ?? "")?.[1];
			};
			assert.equal(await asked("make tables"), "make tables");
			assert.equal(await asked(undefined), "npm run db:migrate");
		});

		it("does not look at them in mode off", async t => {
			const { error, calls } = await start(t, "off");
			assert.deepEqual([error, calls], [undefined, []]);
		});
	});
});
