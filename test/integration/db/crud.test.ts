import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Errors, ServiceBroker, ServiceSchema } from "moleculer";
import { DataTypes, type Sequelize } from "sequelize";
import { DbMixin, type DbSettings } from "../../../mixins/db.mixin.ts";
import { onEachDatabase, type TestDatabases } from "../../support/databases.ts";
import { quietBroker } from "../../support/log.ts";
import { type ThingRow, thingService } from "../../support/things.ts";

type Failure = Partial<Errors.MoleculerError>;

const EVERYTHING = "Ünï 'quoted' \"double\" `tick` \\ back % _ \0 nul \n line 😀👨‍👩‍👧 end";

await onEachDatabase("The CRUD actions", (databases: TestDatabases) => {
	let broker: ServiceBroker;

	const call = <T = unknown>(action: string, params?: object) =>
		broker.call<T, object>(`thing.${action}`, params ?? {});
	const create = (row: Partial<ThingRow>) => call<ThingRow>("create", row);
	const failure = (expected: Failure) => (error: Failure) => {
		assert.deepEqual({ code: error.code, type: error.type, data: error.data }, expected);
		return true;
	};
	const notFound = (id: unknown) => failure({ code: 404, type: "ENTITY_NOT_FOUND", data: { id } });
	const refused =
		(...fields: string[]) =>
		(error: Failure) => {
			assert.deepEqual([error.code, error.type], [422, "VALIDATION_ERROR"]);
			assert.deepEqual(
				(error.data as { field: string }[]).map(({ field }) => field),
				fields
			);
			return true;
		};

	before(async () => {
		broker = quietBroker();
		const settings = { fields: ["id", "name", "count", "made_at"] };
		const url = await databases.create();
		broker.createService(thingService(url, { settings }));
		broker.createService(codedService(url));
		await broker.start();
	});
	after(() => broker.stop());

	it("creates a row and answers it as it was stored, every character of it", async () => {
		const made_at = new Date("2026-11-21T12:34:56.789Z");
		const created = await create({ name: EVERYTHING, count: 2 ** 31 - 1, made_at });
		assert.deepEqual(created, { id: created.id, name: EVERYTHING, count: 2 ** 31 - 1, made_at });
		assert.equal(typeof created.id, "number");
		assert.deepEqual(await call("get", { id: created.id }), created);
		assert.deepEqual(await call("find", { query: { name: EVERYTHING } }), [created]);
	});

	it("inserts one row or many and answers their ids", async () => {
		const one = await call<ThingRow>("insert", { entity: { name: "insert one" } });
		const many = await call<ThingRow[]>("insert", {
			entities: [{ name: "insert 😀" }, { name: "insert \0 nul" }, { name: "insert 'three'" }]
		});
		assert.deepEqual(
			many.map(({ id }) => id),
			[one.id + 1, one.id + 2, one.id + 3]
		);
		for (const row of many)
			assert.equal((await call<ThingRow>("get", { id: row.id })).name, row.name, "found under the id answered");
	});

	it("finds, lists and counts rows by query, in the order asked for", async () => {
		for (const count of [3, 1, 2]) await create({ name: `page ${count}`, count: 7000 + count });
		const query = { name: ["page 1", "page 2", "page 3"] };

		const found = await call<ThingRow[]>("find", { query, sort: "-count", limit: 2, fields: "count" });
		assert.deepEqual(found, [{ count: 7003 }, { count: 7002 }]);
		assert.equal(await call("count", { query }), 3);

		const page = await call<{ rows: ThingRow[] }>("list", { query, sort: "count", page: 2, pageSize: 2 });
		assert.deepEqual(
			{ ...page, rows: page.rows.map(({ name }) => name) },
			{ rows: ["page 3"], total: 3, page: 2, pageSize: 2, totalPages: 2 }
		);
	});

	it("gets several rows at once, leaves out those that are not there, and maps them by id", async () => {
		const [a, b] = [await create({ name: "several a" }), await create({ name: "several b" })];
		const ids = [a.id, String(b.id), 999_999, "nonsense"];
		assert.deepEqual(await call("get", { id: ids }), [a, b]);
		assert.deepEqual(await call("get", { id: ids, mapping: true, fields: ["name"] }), {
			[a.id]: { name: "several a" },
			[b.id]: { name: "several b" }
		});
	});

	it("updates the fields given, whether the id comes as a number or as text, and answers the whole row", async () => {
		const row = await create({ name: "update me", count: 1 });
		assert.deepEqual(await call("update", { id: row.id, count: 2 }), { ...row, count: 2 });
		assert.deepEqual(await call("update", { id: String(row.id), name: "updated" }), {
			...row,
			count: 2,
			name: "updated"
		});
		assert.deepEqual(await call("get", { id: row.id }), { ...row, count: 2, name: "updated" });
	});

	it("removes a row and answers it", async () => {
		const row = await create({ name: "remove me" });
		assert.deepEqual(await call("remove", { id: row.id }), row);
		await assert.rejects(call("get", { id: row.id }), notFound(row.id));
		await assert.rejects(call("remove", { id: row.id }), notFound(row.id));
	});

	it("lets one of ten remove a row, all others get 404", async () => {
		const { id } = await create({ name: "wanted by ten" });
		const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => call("remove", { id })));
		const lost = outcomes.filter(outcome => outcome.status === "rejected");
		assert.equal(lost.length, 9);
		for (const { reason } of lost) notFound(id)(reason);
	});

	describe("with an id that no row has", () => {
		const ids = [999_999, "999999", 0, -1, 1.5, "abc", "", "1abc", " 1", "1e0", "0x1", 2 ** 53, "9".repeat(30), true];
		for (const id of ids) {
			it(`answers 404 for ${JSON.stringify(id)} to update and remove`, async () => {
				await create({ name: `row beside ${JSON.stringify(id)}` });
				const before = await call("count");
				await assert.rejects(call("update", { id, name: "stolen" }), notFound(id));
				await assert.rejects(call("remove", { id }), notFound(id));
				assert.equal(await call("count"), before);
				assert.equal(await call("count", { query: { name: "stolen" } }), 0);
			});
		}
		for (const id of [999_999, "999999", "abc", "1abc"]) {
			it(`answers 404 for ${JSON.stringify(id)} to get`, () => assert.rejects(call("get", { id }), notFound(id)));
		}
	});

	it("answers 409 with the column when a unique value is taken, for create, insert and update", async () => {
		await create({ name: "taken" });
		const other = await create({ name: "free" });
		const taken = failure({ code: 409, type: "ENTITY_EXISTS", data: { fields: ["name"] } });
		await assert.rejects(create({ name: "taken" }), taken);
		await assert.rejects(call("insert", { entities: [{ name: "insert new" }, { name: "taken" }] }), taken);
		await assert.rejects(call("update", { id: other.id, name: "taken" }), taken);
		assert.equal(await call("count", { query: { name: "insert new" } }), 0, "an insert is all or nothing");
	});

	it("answers 422 with the column when a value is missing", async () => {
		await assert.rejects(create({ count: 1 }), refused("name"));
	});

	describe("with hidden columns", () => {
		before(() => create({ name: "hides", secret: "hunter2" }));

		const readers: [string, object][] = [
			["find", { query: { name: "hides" } }],
			["list", { query: { name: "hides" } }]
		];
		for (const fields of [
			undefined,
			"secret",
			"name secret",
			"name,secret",
			["secret"],
			["name", "secret"],
			["secret.x"]
		]) {
			it(`answers none of them when asked for fields ${JSON.stringify(fields)}`, async () => {
				for (const [action, params] of readers) {
					const answer = JSON.stringify(await call(action, { ...params, fields }));
					assert.doesNotMatch(answer, /secret|hunter2/, action);
				}
				const [{ id }] = await call<[ThingRow]>("find", { query: { name: "hides" }, fields: ["id"] });
				for (const params of [{ id }, { id: [id] }, { id: [id], mapping: true }])
					assert.doesNotMatch(JSON.stringify(await call("get", { ...params, fields })), /secret|hunter2/);
			});
		}

		it("answers none of them to create, insert, update and remove", async () => {
			const secret = "hunter2";
			const created = await create({ name: "writes a secret", secret });
			const answers = [
				created,
				await call("insert", { entity: { name: "writes a secret 2", secret } }),
				await call("insert", { entities: [{ name: "writes a secret 3", secret }] }),
				await call("update", { id: created.id, secret: "hunter2 too" }),
				await call("remove", { id: created.id })
			];
			assert.doesNotMatch(JSON.stringify(answers), /"secret"|hunter2/);
		});

		const probes: [string, object][] = [
			["query", { query: { secret: "hunter2" } }],
			["query", { query: '{"secret":"hunter2"}' }],
			["query", { query: { $secret$: "hunter2" } }],
			["query", { query: { unknown: 1 } }],
			["sort", { sort: "secret" }],
			["sort", { sort: "name,-secret" }],
			["searchFields", { search: "hunter2", searchFields: ["secret"] }],
			["searchFields", { iSearch: "HUNTER2", searchFields: "name secret" }]
		];
		for (const [field, params] of probes) {
			it(`refuses to use them: ${JSON.stringify(params)}`, async () => {
				await assert.rejects(call("find", params), refused(field));
				await assert.rejects(call("list", params), refused(field));
				if (field !== "sort") await assert.rejects(call("count", params), refused(field));
			});
		}

		it("refuses a query that is no JSON", () => assert.rejects(call("find", { query: "{oops" }), refused("query")));
	});

	it("has no action with an HTTP route or published, so that an API gateway does not offer them", () => {
		const actions = broker.registry.actions.list({ onlyLocal: true, withEndpoints: false }) as ActionItem[];
		const generic = actions.filter(({ name }) => name.startsWith("thing."));
		assert.deepEqual(generic.map(({ name }) => name.slice("thing.".length)).sort(), [
			"count",
			"create",
			"find",
			"get",
			"insert",
			"list",
			"ready",
			"remove",
			"update"
		]);
		for (const { action } of generic) assert.deepEqual([action.visibility, action.rest], ["public", undefined]);
	});

	it("takes the keys of a table with text keys for text, and nothing else", async () => {
		const row = { code: "abc", count: 1 };
		assert.deepEqual(await broker.call("coded.create", row), row);
		assert.deepEqual(await broker.call("coded.get", { id: "abc" }), row);
		assert.deepEqual(await broker.call("coded.update", { id: "abc", count: 2 }), { ...row, count: 2 });
		// MySQL finds every key that is no number when it is asked for 0.
		for (const id of [0, "ABC", "ab"]) {
			await assert.rejects(broker.call("coded.get", { id }), notFound(id));
			await assert.rejects(broker.call("coded.remove", { id }), notFound(id));
		}
		assert.deepEqual(await broker.call("coded.get", { id: [0, "abc"] }), [{ ...row, count: 2 }]);
		assert.deepEqual(await broker.call("coded.remove", { id: "abc" }), { ...row, count: 2 });
	});

	it("answers ready", async () => assert.equal(await call("ready"), true));
});

/** A service on a table whose key is text. */
function codedService(url: string): ServiceSchema & { settings: DbSettings } {
	const model = {
		name: "coded",
		define: { code: { type: DataTypes.STRING(20), primaryKey: true }, count: DataTypes.INTEGER },
		options: { tableName: "coded", timestamps: false }
	};
	const up = async (sequelize: Sequelize) => {
		await sequelize.getQueryInterface().createTable("coded", model.define, { collate: "utf8mb4_bin" });
		return [];
	};
	const migrator = (sequelize: Sequelize) => ({ pending: async () => [], up: () => up(sequelize) });
	const mixin = DbMixin({ model, url: () => url, migrator, migrate: "auto" });
	return { name: "coded", mixins: [mixin], settings: { idField: "code" } };
}

interface ActionItem {
	name: string;
	action: { visibility: string; rest?: unknown };
}
