import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { after, before, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { Op, QueryTypes, type Transaction } from "sequelize";
import type { Statement } from "../../../mixins/db.mixin.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { quietBroker } from "../../support/log.ts";
import { type ThingModel, type ThingService, thingService } from "../../support/things.ts";

const INTO = "INSERT INTO things (name, count)";
const CALLERS = 100;
const BEGINS = ["START", "BEGIN"];

await onEachDatabase("Transactions that callers share", databases => {
	let broker: ServiceBroker;
	let service: ThingService;
	let things: ThingModel;
	const caller = new AsyncLocalStorage<string>();
	const seen: { operation: string; by: string | undefined }[] = [];

	const insert = (name: string, transaction: Transaction) =>
		service.statements.insert(INTO, "(?, ?)", [name, 0], transaction);
	const sums = { table: "sums", id: "thing", number: "sum" };
	const idOf = async (name: string) => (await things.findOne({ where: { name }, rejectOnEmpty: true })).get().id;
	const names = Array.from({ length: CALLERS }, (_, i) => `thing ${String(i).padStart(3, "0")}`);

	before(async () => {
		broker = quietBroker();
		const onStatement = ({ operation }: Statement) => {
			seen.push({ operation, by: caller.getStore() });
			return () => {};
		};
		const schema = thingService(await databases.create(), {}, { connection: { onStatement } });
		service = broker.createService(schema) as ThingService;
		await broker.start();
		things = service.models.thing;
		await service.db.query("CREATE TABLE sums (thing INTEGER PRIMARY KEY, sum INTEGER NOT NULL)");
	});
	after(() => broker.stop());

	it("give each of a hundred callers the id of its own row, with fewer transactions than callers", async () => {
		seen.length = 0;
		const ids = await Promise.all(names.map(name => service.together(transaction => insert(name, transaction))));
		for (const [i, name] of names.entries()) assert.equal(ids[i], await idOf(name), name);
		const begun = seen.filter(({ operation }) => BEGINS.includes(operation)).length;
		assert.ok(begun > 0 && begun < CALLERS / 4, `${begun} transactions`);
	});

	it("keep one caller's failure from the others, whose work is done once", async () => {
		const failing = new Set([3, 50]);
		const outcomes = await Promise.allSettled(
			names.map((name, i) =>
				service.together(async transaction => {
					await insert(`${name} beside a failure`, transaction);
					if (failing.has(i)) throw new Error(`failure ${i}`);
				})
			)
		);
		for (const [i, { status }] of outcomes.entries()) assert.equal(status, failing.has(i) ? "rejected" : "fulfilled");
		assert.deepEqual(
			outcomes.flatMap(outcome => (outcome.status === "rejected" ? [outcome.reason.message] : [])),
			["failure 3", "failure 50"]
		);
		for (const [i, name] of names.entries())
			assert.equal(await things.count({ where: { name: `${name} beside a failure` } }), failing.has(i) ? 0 : 1, name);
	});

	it("do nothing twice when a commit fails and nobody knows what became of it", async () => {
		let tries = 0;
		const outcomes = await Promise.allSettled(
			names.slice(0, 10).map(name =>
				service.together(async transaction => {
					tries++;
					await insert(`${name} of a lost commit`, transaction);
					const commit = transaction.commit.bind(transaction);
					const commitAndLose = () => commit().then(() => Promise.reject(new Error("the connection was lost")));
					Object.assign(transaction, { commit: commitAndLose });
				})
			)
		);
		assert.ok(outcomes.every(({ status }) => status === "rejected"));
		assert.equal(tries, 10);
		assert.equal(await things.count({ where: { name: { [Op.like]: "%of a lost commit" } } }), 10);
	});

	it("fail together, and are not begun one by one, when the database can not begin any", async t => {
		const begin = t.mock.method(service.db, "transaction", () => Promise.reject(new Error("the database is away")));
		const outcomes = await Promise.allSettled(
			names.slice(0, 10).map(() => service.together(() => assert.fail("begun")))
		);
		begin.mock.restore();
		assert.ok(outcomes.every(({ status }) => status === "rejected"));
		assert.equal(begin.mock.callCount(), 2, "the first one, and the others");
	});

	it("run each function in the context of its own caller", async () => {
		const contexts = await Promise.all(
			names.map(name =>
				caller.run(name, () =>
					service.together(async transaction => {
						await insert(`${name} in context`, transaction);
						return caller.getStore();
					})
				)
			)
		);
		assert.deepEqual(contexts, names);
	});

	it("begin and end for the first of those that share them, not for a caller before", async () => {
		seen.length = 0;
		const outcomes = names
			.slice(0, 4)
			.map(name =>
				caller.run(name, () => service.together(transaction => insert(`${name} and whose begin`, transaction)))
			);
		await Promise.all(outcomes);
		const by = (operations: string[]) => seen.flatMap(one => (operations.includes(one.operation) ? [one.by] : []));
		assert.deepEqual(by(BEGINS), [names[0], names[1]]);
		assert.deepEqual(by(["COMMIT"]), [names[0], names[1]]);
	});

	it("add up what their functions add to the same numbers, and nothing of one that fails", async () => {
		const outcomes = await Promise.allSettled(
			names.map((_, i) =>
				service.together(async transaction => {
					await service.statements.add(sums, i % 2 ? 7 - (i % 7) : i % 7, i, transaction);
					if (i === 42) throw new Error("changed my mind");
				})
			)
		);
		assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
		const expected = new Map<number, number>();
		for (let i = 0; i < CALLERS; i++) {
			const thing = i % 2 ? 7 - (i % 7) : i % 7;
			if (i !== 42) expected.set(thing, (expected.get(thing) ?? 0) + i);
		}
		const rows = await service.db.query<{ thing: number; sum: number }>("SELECT thing, sum FROM sums", {
			type: QueryTypes.SELECT
		});
		assert.deepEqual(new Map(rows.map(({ thing, sum }) => [Number(thing), Number(sum)])), expected);
	});

	it("do not wait in a circle when they add to the same numbers in opposite orders", async () => {
		const ids = Array.from({ length: 30 }, (_, i) => i + 100);
		for (let round = 0; round < 40; round++)
			await Promise.all(
				Array.from({ length: 8 }, (_, i) => (i % 2 ? ids : ids.toReversed())).map(order =>
					// Not `together`, which would try a deadlock's victim again.
					service.db.transaction(transaction =>
						Promise.all(order.map(id => service.statements.add(sums, id, 1, transaction)))
					)
				)
			);
	});

	it("do not wait for one that hangs, where the database lets several write", {
		skip: databases.dialect === "sqlite"
	}, async () => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const hanging = service.together(() => promise);
		await Promise.all(
			names.slice(0, 5).map(name => service.together(transaction => insert(`${name} meanwhile`, transaction)))
		);
		assert.equal(await things.count({ where: { name: { [Op.like]: "%meanwhile" } } }), 5);
		resolve();
		await hanging;
	});

	it("leave nothing of a function that is alone and throws", async () => {
		const outcome = service.together(async transaction => {
			await insert("never there", transaction);
			throw new Error("changed my mind");
		});
		await assert.rejects(outcome, { message: "changed my mind" });
		assert.equal(await things.count({ where: { name: "never there" } }), 0);
	});
});
