import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Errors, ServiceBroker } from "moleculer";
import { DataTypes, Op, type Sequelize } from "sequelize";
import { DbMixin } from "../../../mixins/db.mixin.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { quietBroker } from "../../support/log.ts";

interface ProductRow {
	id: number;
	shop: string;
	sku: string;
	label: string | null;
	weight: number | string | null;
}

type Failure = Partial<Errors.MoleculerError>;

const time = { type: DataTypes.DATE(3), allowNull: false };
const columns = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	shop: { type: DataTypes.STRING(20), allowNull: false },
	sku: { type: DataTypes.STRING(20), allowNull: false, validate: { len: [2, 20] as [number, number] } },
	label: { type: DataTypes.STRING(20), unique: true },
	cost: DataTypes.INTEGER,
	weight: DataTypes.BIGINT,
	created_at: time,
	updated_at: time
};
const model = {
	name: "product",
	define: columns,
	options: {
		tableName: "products",
		createdAt: "created_at",
		updatedAt: "updated_at",
		defaultScope: { attributes: { exclude: ["cost"] } },
		indexes: [
			{ unique: true, fields: ["shop", "sku"] },
			{ unique: true, fields: ["shop", { name: "cost" }], name: "one_price" },
			{ fields: ["cost"] }
		]
	}
};

async function createTable(sequelize: Sequelize): Promise<string[]> {
	const tables = sequelize.getQueryInterface();
	await tables.createTable("products", {
		...columns,
		label: DataTypes.STRING(20)
	});
	const unique = (name: string, fields: string[]) => tables.addIndex("products", fields, { unique: true, name });
	await unique("products_shop_sku", ["shop", "sku"]);
	await unique("one_price", ["shop", "cost"]);
	await unique("label", ["label"]);
	return ["create-products"];
}

await onEachDatabase("A row of the generic actions", databases => {
	let broker: ServiceBroker;

	const call = <T = ProductRow>(action: string, params: object) => broker.call<T, object>(`product.${action}`, params);
	const refused = (code: number, type: string, fields: string[]) => (error: Failure) => {
		const { data } = error as { data: { fields: string[] } | { field: string }[] };
		const named = Array.isArray(data) ? data.map(({ field }) => field) : data.fields;
		assert.deepEqual([error.code, error.type, named], [code, type, fields]);
		return true;
	};

	before(async () => {
		broker = quietBroker();
		const url = await databases.create();
		const migrator = (sequelize: Sequelize) => ({ pending: async () => [], up: () => createTable(sequelize) });
		broker.createService({ name: "product", mixins: [DbMixin({ model, url: () => url, migrator, migrate: "auto" })] });
		await broker.start();
		await call("create", { id: 1, shop: "first", sku: "taken", label: "label", cost: 1 });
	});
	after(() => broker.stop());

	describe("that is asked for by a query", () => {
		before(async () => {
			for (const [sku, weight] of [
				["light", 1],
				["heavy", 9]
			])
				await call("create", { shop: "query", sku, weight });
		});

		for (const [what, query] of [
			["an empty condition", { shop: "query", weight: {} }],
			[
				"what is left of an operator on the way to another node",
				{ weight: JSON.parse(JSON.stringify({ [Op.gt]: 5 })) }
			],
			["one below an operator", { [Op.or]: [{ shop: "query" }, { weight: {} }] }],
			["one in text", '{"weight":{}}']
		] as const)
			it(`is refused with ${what}`, async () => {
				for (const action of ["find", "list", "count"])
					await assert.rejects(call(action, { query }), refused(422, "VALIDATION_ERROR", ["query"]), action);
			});

		for (const [what, query, count] of [
			["no condition", {}, "all"],
			["an operator", { shop: "query", weight: { [Op.gt]: 5 } }, 1],
			["a time", { shop: "query", created_at: new Date(0) }, 0],
			["null", { shop: "query", weight: null }, 0],
			["a list", { shop: "query", weight: [1, 9] }, 2]
		] as const)
			it(`is found with ${what}`, async () => {
				const all = await call("count", {});
				assert.equal(await call("count", { query }), count === "all" ? all : count);
			});
	});

	describe("that the model refuses", () => {
		for (const [what, row, fields] of [
			["a value against its rules", { shop: "one", sku: "x" }, ["sku"]],
			["no value", { sku: "xx" }, ["shop"]],
			["several columns wrong", { sku: "x" }, ["shop", "sku"]]
		] as const)
			it(`is answered 422, with ${what}, alone and among others`, async () => {
				const count = await call<number>("count", {});
				const problem = refused(422, "VALIDATION_ERROR", [...fields]);
				await assert.rejects(call("create", row), problem);
				await assert.rejects(call("insert", { entity: row }), problem);
				await assert.rejects(call("insert", { entities: [{ shop: "one", sku: "good" }, row] }), problem);
				assert.equal(await call("count", {}), count);
			});

		it("is answered 422 with the columns of all that were sent with it", () =>
			assert.rejects(
				call("insert", { entities: [{ sku: "good" }, { shop: "one", sku: "x" }] }),
				refused(422, "VALIDATION_ERROR", ["shop", "sku"])
			));
	});

	for (const [what, row, fields] of [
		["a pair of columns", { shop: "first", sku: "taken" }, ["shop", "sku"]],
		["a pair under a name", { shop: "first", sku: "other", cost: 1 }, ["shop", "cost"]],
		["a column", { shop: "second", sku: "other", label: "label" }, ["label"]],
		["the key", { shop: "second", sku: "other", id: 1 }, ["id"]]
	] as const)
		it(`is answered 409 with the columns where ${what} is taken`, async () => {
			const taken = refused(409, "ENTITY_EXISTS", [...fields]);
			await assert.rejects(call("create", row), taken);
			await assert.rejects(call("insert", { entities: [row] }), taken);
		});

	it("is answered with null for what it was not given, one or many, and its times", async () => {
		const one = await call("create", { shop: "nulls", sku: "one" });
		const [two] = await call<ProductRow[]>("insert", { entities: [{ shop: "nulls", sku: "two" }] });
		for (const row of [one, two as ProductRow]) {
			assert.equal(row.label, null);
			assert.ok((await call<{ created_at: Date }>("get", { id: row.id })).created_at instanceof Date);
		}
	});

	it("is read without the columns that the model's scope hides", async () => {
		const { id } = await call("create", { shop: "scope", sku: "one", cost: 7 });
		for (const row of [await call("get", { id }), await call("update", { id, label: "hides" })])
			assert.ok(!("cost" in row));
	});

	it("may hold an integer that JavaScript can not: it is read as text, beside numbers, and removed", async () => {
		const { id } = await call("create", { shop: "large", sku: "one", weight: "9007199254740993" });
		await call("create", { shop: "large", sku: "two", weight: 5 });
		const found = await call<ProductRow[]>("find", { query: { shop: "large" }, sort: "sku" });
		assert.deepEqual(
			found.map(({ weight }) => weight),
			["9007199254740993", 5]
		);
		assert.equal((await call("remove", { id })).weight, "9007199254740993");
		assert.equal(await call("count", { query: { shop: "large" } }), 1);
	});
});
