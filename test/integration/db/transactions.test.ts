import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { Op, type Transaction, UniqueConstraintError } from "sequelize";
import { onEachDatabase } from "../../support/databases.ts";
import { quietBroker } from "../../support/log.ts";
import { type ThingModel, type ThingService, thingService } from "../../support/things.ts";

/** Resolves when `count` callers have arrived. */
function meeting(count: number): () => Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	let arrived = 0;
	return () => {
		if (++arrived === count) resolve();
		return promise;
	};
}

await onEachDatabase("Transactions", databases => {
	let broker: ServiceBroker;
	let service: ThingService;
	let things: ThingModel;

	const countOf = async (id: number, transaction?: Transaction) =>
		(await things.findByPk(id, { transaction, rejectOnEmpty: true })).get().count;
	const newThing = async (name: string) => (await things.create({ name })).get().id;

	before(async () => {
		broker = quietBroker();
		service = broker.createService(thingService(await databases.create())) as ThingService;
		await broker.start();
		things = service.models.thing;
	});
	after(() => broker.stop());

	it("commit what they did, and answer what the function answered", async () => {
		const id = await service.transaction(async transaction => {
			const thing = await things.create({ name: "committed" }, { transaction });
			await things.update({ count: 5 }, { where: { name: "committed" }, transaction });
			return thing.get().id;
		});
		assert.equal(await countOf(id), 5);
	});

	it("roll back everything when the function throws, and throw its error", async () => {
		const id = await newThing("rolled back");
		const failure = new Error("changed my mind");
		const outcome = service.transaction(async transaction => {
			await things.create({ name: "never there" }, { transaction });
			await things.update({ count: 5 }, { where: { id }, transaction });
			throw failure;
		});
		await assert.rejects(outcome, failure);
		assert.equal(await countOf(id), 0);
		assert.equal(await things.count({ where: { name: "never there" } }), 0);
	});

	it("show their work to nobody else before they commit, and readers do not wait for them", async () => {
		const id = await newThing("isolated");
		await service.transaction(async transaction => {
			await things.update({ count: 1 }, { where: { id }, transaction });
			assert.equal(await countOf(id), 0, "outside");
			assert.equal(await countOf(id, transaction), 1, "inside");
		});
		assert.equal(await countOf(id), 1);
	});

	it("see what others have committed meanwhile (READ COMMITTED, or alone on SQLite)", async () => {
		const id = await newThing("committed meanwhile");
		await service.transaction(async transaction => {
			assert.equal(await countOf(id, transaction), 0);
			if (databases.dialect === "mysql") {
				await things.update({ count: 1 }, { where: { id } });
				assert.equal(await countOf(id, transaction), 1);
			}
		});
	});

	it("lose no update and do not fail when fifty of them increment one row at once", async () => {
		const id = await newThing("counter");
		await Promise.all(
			Array.from({ length: 50 }, () =>
				service.transaction(async transaction => {
					const row = await things.findByPk(id, { transaction, lock: true, rejectOnEmpty: true });
					await row.update({ count: row.get().count + 1 }, { transaction });
				})
			)
		);
		assert.equal(await countOf(id), 50);
	});

	it("survive a mix of two hundred: commits, roll backs, single writes, reads", async () => {
		const ids = await Promise.all(Array.from({ length: 10 }, (_, n) => newThing(`mixed ${n}`)));
		const increment = (id: number, transaction?: Transaction) =>
			things.increment("count", { by: 1, where: { id }, transaction });
		const kinds = [
			(id: number) => service.transaction(transaction => increment(id, transaction)),
			(id: number) => increment(id),
			(id: number) => countOf(id),
			async (id: number) => {
				const undone = service.transaction(async transaction => {
					await increment(id, transaction);
					throw new Error("undone");
				});
				await assert.rejects(undone, /undone/);
			}
		];
		await Promise.all(Array.from({ length: 200 }, (_, n) => kinds[n % 4]?.(ids[n % 10] as number)));
		// Of the 200, one hundred are increments that count.
		assert.equal(await things.sum("count", { where: { id: { [Op.in]: ids } } }), 100);
	});

	// SQLite lets one transaction write at a time: it has no deadlocks.
	if (databases.dialect !== "sqlite") {
		it("run again after a deadlock, so that both sides get through", async () => {
			const [a, b] = [await newThing("deadlock a"), await newThing("deadlock b")];
			const meet = meeting(2);
			let attempts = 0;
			const lockInOrder = (first: number, second: number) =>
				service.transaction(async transaction => {
					attempts++;
					await things.increment("count", { where: { id: first }, transaction });
					await meet();
					await things.increment("count", { where: { id: second }, transaction });
				});
			await Promise.all([lockInOrder(a, b), lockInOrder(b, a)]);
			assert.deepEqual([await countOf(a), await countOf(b)], [2, 2]);
			assert.equal(attempts, 3, "one of them was the victim, once");
		});

		it("give up after five deadlocks and throw the database's error", async () => {
			let attempts = 0;
			const outcome = service.transaction(async transaction => {
				attempts++;
				await service.db.query("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", { transaction });
			});
			await assert.rejects(outcome, { name: "SequelizeDatabaseError" });
			assert.equal(attempts, 5);
		});
	}

	it("do not run again after any other error", async () => {
		await newThing("unique");
		let attempts = 0;
		const outcome = service.transaction(async transaction => {
			attempts++;
			await things.create({ name: "unique", secret: "hunter2" }, { transaction });
		});
		await assert.rejects(outcome, (error: UniqueConstraintError) => {
			assert.ok(error instanceof UniqueConstraintError);
			assert.deepEqual(
				error.errors.map(({ path, type }) => [path, type]),
				[["name", "unique violation"]]
			);
			assert.doesNotMatch(JSON.stringify(error), /hunter2/);
			return true;
		});
		assert.equal(attempts, 1);
	});

	it("count the rows an update matched, also those it left as they were", async () => {
		const id = await newThing("same");
		assert.deepEqual(await things.update({ name: "same" }, { where: { id } }), [1]);
		assert.deepEqual(await things.update({ name: "other" }, { where: { id: 0 } }), [0]);
	});

	it("keep times to the millisecond, in UTC", async () => {
		const made_at = new Date("2026-02-28T23:59:59.999Z");
		const { id } = (await things.create({ name: "timed", made_at })).get();
		const row = await things.findByPk(id, { rejectOnEmpty: true });
		assert.deepEqual(row.get().made_at, made_at);
		assert.equal(await things.count({ where: { id, made_at: { [Op.lt]: new Date("2026-03-01T00:00:00.000Z") } } }), 1);
		assert.equal(await things.count({ where: { id, made_at: { [Op.lt]: made_at } } }), 0);
	});

	it("a transaction within another one ends with the outer one", async () => {
		const outcome = service.transaction(async outer => {
			await service.db.transaction({ transaction: outer }, inner =>
				things.create({ name: "inner" }, { transaction: inner })
			);
			throw new Error("changed my mind");
		});
		await assert.rejects(outcome, { message: "changed my mind" });
		assert.equal(await things.count({ where: { name: "inner" } }), 0);
	});
});
