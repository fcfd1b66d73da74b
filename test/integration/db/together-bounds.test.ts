import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { DatabaseError, Op, type Transaction } from "sequelize";
import { onEachDatabase } from "../../support/databases.ts";
import { quietBroker } from "../../support/log.ts";
import { type ThingModel, type ThingService, thingService } from "../../support/things.ts";

const INTO = "INSERT INTO things (name, count)";

await onEachDatabase("Transactions that callers share", databases => {
	let broker: ServiceBroker;
	let service: ThingService;
	let things: ThingModel;
	const insert = (name: string, transaction: Transaction) =>
		service.statements.insert(INTO, "(?, ?)", [name, 0], transaction);
	const names = Array.from({ length: 100 }, (_, i) => `thing ${i}`);
	before(async () => {
		broker = quietBroker();
		service = broker.createService(thingService(await databases.create(), {})) as ThingService;
		await broker.start();
		things = service.models.thing;
	});
	after(() => broker.stop());

	it("run again where the database asks for it at the commit, as a cluster does: then nothing was kept", async () => {
		let isRefused = false;
		await Promise.all(
			names.slice(0, 10).map(name =>
				service.together(async transaction => {
					await insert(`${name} again`, transaction);
					if (isRefused || name !== names[5]) return;
					const refuse = async () => {
						isRefused = true;
						await transaction.rollback();
						throw new DatabaseError(Object.assign(new Error("Deadlock found"), { errno: 1213, sql: "COMMIT" }));
					};
					Object.assign(transaction, { commit: refuse });
				})
			)
		);
		assert.ok(isRefused);
		assert.equal(await things.count({ where: { name: { [Op.like]: "% again" } } }), 10);
	});

	it("run again where somebody else held a row for too long", async () => {
		let tries = 0;
		await service.transaction(async transaction => {
			await insert("waited for", transaction);
			if (++tries < 3)
				throw new DatabaseError(Object.assign(new Error("Lock wait timeout exceeded"), { errno: 1205, sql: "" }));
		});
		assert.deepEqual([tries, await things.count({ where: { name: "waited for" } })], [3, 1]);
	});

	it("are four at once, however many wait: the other connections are for others", {
		skip: databases.dialect === "sqlite"
	}, async t => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const begin = t.mock.method(service.db, "transaction");
		const all = Array.from({ length: 300 }, () => service.together(() => promise));
		const begun = begin.mock.callCount();
		resolve();
		await Promise.all(all);
		assert.equal(begun, 4);
	});

	it("are shared by 32 at most, however many wait: all of them run again where one fails", async () => {
		// More than four shared transactions take: so many wait that they would fill several.
		const all = Array.from({ length: 300 }, () => service.together(async transaction => transaction));
		const sharers = [...Map.groupBy(await Promise.all(all), transaction => transaction).values()];
		assert.equal(Math.max(...sharers.map(({ length }) => length)), 32);
	});

	it("a statement in a transaction that has ended is refused: its connection is somebody else's", async () => {
		let ended: Transaction | undefined;
		await service.together(async transaction => {
			ended = transaction;
			await insert("in time", transaction);
		});
		await assert.rejects(insert("too late", ended as Transaction), /has ended/);
		assert.equal(await things.count({ where: { name: "too late" } }), 0);
	});
});
