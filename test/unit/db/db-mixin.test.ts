import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { DataTypes } from "sequelize";
import { DbMixin } from "../../../mixins/db.mixin.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { sqliteFiles } from "../../support/databases.ts";
import { brokerFor, Log, typed } from "../../support/log.ts";
import { type ThingService, thingModel, thingService } from "../../support/things.ts";

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

	it("leaves its parameters as they are, also to the actions that use the same object", async t => {
		const params = { $$strict: true, thing_id: { type: "number", integer: true } };
		const handler = (ctx: { params: object }) => ctx.params;
		const { broker } = await start(t, { get: { params, handler }, archive: { params, handler } });
		assert.deepEqual(params, { $$strict: true, thing_id: { type: "number", integer: true } });
		const { params: kept } = definitionOf(broker, "thing.archive") as { params?: object };
		assert.deepEqual(kept, params);
		await assert.rejects(broker.call("thing.archive", { thing_id: 1, fields: "id" }), typed(422, "VALIDATION_ERROR"));
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

describe("A table with a key of two columns", () => {
	const part = { type: DataTypes.BIGINT, primaryKey: true };
	const model = { name: "cart", define: { user_id: part, product_id: part, count: DataTypes.INTEGER } };
	const own = () => "own";
	const created = (t: TestContext, actions: ServiceSchema["actions"]) =>
		brokerFor(t).createService({ name: "cart", mixins: [DbMixin({ model })], actions });

	const refused: [string, ServiceSchema["actions"], string][] = [
		["all actions that take one id", {}, "get, update, remove"],
		["the last of them", { get: false, update: own }, "remove"],
		["one that is private", { get: own, update: { visibility: "private" }, remove: false }, "update"]
	];
	for (const [what, actions, names] of refused)
		it(`is refused with ${what}`, t => {
			const message = new RegExp(`^Service 'cart': ${names} would .* key is \\(user_id, product_id\\)`);
			assert.throws(() => created(t, actions), { name: "ServiceSchemaError", message });
		});

	it("is taken with none of them", t => {
		const { actions } = created(t, { get: own, update: false, remove: { handler: own } });
		assert.ok(actions.find && !actions.update);
	});
});

describe("A mode of migrations", () => {
	const created = (t: TestContext, migrate: unknown) =>
		brokerFor(t).createService({ name: "thing", mixins: [DbMixin({ model: thingModel, migrate: migrate as "auto" })] });

	for (const mode of ["atuo", "Check", "", false, null])
		it(`is refused where it is ${JSON.stringify(mode)}`, t => {
			const message = `Service 'thing': 'migrate' must be one of: auto, check, off, not '${mode}'`;
			assert.throws(() => created(t, mode), { name: "ServiceSchemaError", message });
		});

	for (const mode of ["auto", "check", "off", undefined])
		it(`is taken where it is ${mode}`, t => void created(t, mode));
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
