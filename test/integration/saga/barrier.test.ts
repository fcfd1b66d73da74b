import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { QueryTypes, type Transaction } from "sequelize";
import { barrier, purgeBarriers } from "../../../mixins/saga/barrier.ts";
import type { Database } from "../../../mixins/saga/database.ts";
import type { Branch } from "../../../mixins/saga/engine.ts";
import { quiet } from "../../support/app.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { rowsOf, sagaDatabase } from "../../support/sagas.ts";
import { until } from "../../support/until.ts";

const broker = new ServiceBroker(quiet({ metrics: true }));
const DAY_MS = 24 * 3_600_000;
const branch = (op: Branch["op"], gid = "g1", age = 0) =>
	({ meta: { saga: { gid, step: "pay", op, age } }, broker }) as never;

/** An account that a branch adds to, and takes from again. */
async function accountIn(database: Database) {
	const { db, transaction } = database;
	await db.query("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)");
	await db.query("INSERT INTO account VALUES (1, 0)");
	const add = (tx: Transaction, amount: number) =>
		db.query(`UPDATE account SET balance = balance + ${amount} WHERE id = 1`, { transaction: tx });
	const balance = async (tx?: Transaction) => {
		const [row] = await db.query<{ balance: number }>("SELECT balance FROM account", {
			type: QueryTypes.SELECT,
			...(tx && { transaction: tx })
		});
		return row?.balance;
	};
	const action = (gid = "g1", during = async () => {}) =>
		transaction(tx =>
			barrier(branch("action", gid), tx, async () => {
				await add(tx, 100);
				await during();
				return { paid: 100 };
			})
		);
	return {
		balance,
		action,
		/** Begins an action; it is in its transaction, and stays there until its gate is settled. */
		async openAction(gid = "g1") {
			const gate = Promise.withResolvers<void>();
			const entered = Promise.withResolvers<void>();
			const open = action(gid, () => {
				entered.resolve();
				return gate.promise;
			});
			await entered.promise;
			return { open, gate };
		},
		compensate: (gid = "g1", during = async (_tx: Transaction) => {}) =>
			transaction(tx =>
				barrier(branch("compensate", gid), tx, async () => {
					await during(tx);
					await add(tx, -100);
				})
			)
	};
}

const outcomes = (outcome: string) => {
	const metric = broker.metrics.getMetric("saga.barrier.total");
	return (metric?.get({ outcome }) as { value: number } | null)?.value ?? 0;
};

await onEachDatabase("The barrier", databases => {
	it("runs an action once and gives its answer again to a duplicate", async t => {
		const { action, balance } = await accountIn(await sagaDatabase(t, databases));
		assert.deepEqual(await action(), { paid: 100 });
		assert.deepEqual(await action(), { paid: 100 });
		assert.equal(await balance(), 100);
	});

	it("runs an action once when 20 of its calls arrive together", async t => {
		const { action, balance } = await accountIn(await sagaDatabase(t, databases));
		const answers = await Promise.all(Array.from({ length: 20 }, () => action()));
		assert.equal(await balance(), 100);
		for (const answer of answers) assert.deepEqual(answer, { paid: 100 });
	});

	it("takes an action back once when 10 compensations arrive together", async t => {
		const { action, compensate, balance } = await accountIn(await sagaDatabase(t, databases));
		await action();
		await Promise.all(Array.from({ length: 10 }, () => compensate()));
		assert.equal(await balance(), 0);
	});

	it("does nothing for a compensation whose action never came, and blocks that action", async t => {
		const database = await sagaDatabase(t, databases);
		const { action, compensate, balance } = await accountIn(database);
		const before = { null: outcomes("null"), hanging: outcomes("hanging") };
		await compensate();
		await compensate();
		await assert.rejects(action(), { type: "SAGA_FAILURE", code: 409 });
		assert.equal(await balance(), 0);
		assert.deepEqual(
			{ null: outcomes("null"), hanging: outcomes("hanging") },
			{ null: before.null + 1, hanging: before.hanging + 1 }
		);
		const rows = await rowsOf(database, "saga_barrier");
		assert.deepEqual(rows.map(({ op, origin }) => [op, origin]).sort(), [
			["action", "compensate"],
			["compensate", "compensate"]
		]);
	});

	it("does and undoes nothing for a saga whose rows may be gone, and remembers what it still knows", async t => {
		const database = await sagaDatabase(t, databases);
		const { action, balance } = await accountIn(database);
		await action();
		const late = (op: Branch["op"], gid: string, days: number) =>
			database.transaction(tx =>
				barrier(branch(op, gid, days * DAY_MS), tx, async () => {
					throw new Error("must not be called");
				})
			);
		assert.deepEqual(await late("action", "g1", 20), { paid: 100 });
		await database.db.query("DELETE FROM saga_barrier");
		for (const op of ["action", "compensate"] as const) await assert.rejects(late(op, "g1", 13.1), /g1 is too old/);
		assert.deepEqual(await rowsOf(database, "saga_barrier"), []);
		assert.equal(await balance(), 100);
		await late("compensate", "g1", 12.9);
		assert.equal((await rowsOf(database, "saga_barrier")).length, 2);
		await action("g2");
		await database.transaction(tx => barrier(branch("compensate", "g2", 20 * DAY_MS), tx, async () => "undone"));
		assert.equal((await rowsOf(database, "saga_barrier")).length, 4, "an action that is known can be taken back");
	});

	it("takes nothing back for an action that was rolled back, and lets that action come again before", async t => {
		const { action, compensate, balance } = await accountIn(await sagaDatabase(t, databases));
		const fails = () => Promise.reject(new Error("full"));
		await assert.rejects(action("g1", fails), /full/);
		await action();
		assert.equal(await balance(), 100);
		await assert.rejects(action("g2", fails), /full/);
		await compensate("g2");
		assert.equal(await balance(), 100);
	});

	it("lets two compensations that overlap wait for an open action, and refuses the action that comes last", async t => {
		const { action, openAction, compensate, balance } = await accountIn(await sagaDatabase(t, databases));
		const { open, gate } = await openAction();
		const compensations = [compensate(), compensate()];
		gate.resolve();
		await Promise.all([open, ...compensations]);
		assert.equal(await balance(), 0);
		await assert.rejects(
			action("g2")
				.then(() => compensate("g2"))
				.then(() => compensate("g3"))
				.then(() => action("g3")),
			{
				type: "SAGA_FAILURE"
			}
		);
		assert.equal(await balance(), 0);
	});

	it("survives the deadlock of an action that is rolled back while two compensations wait for it", async t => {
		const { openAction, compensate, balance } = await accountIn(await sagaDatabase(t, databases));
		for (let round = 0; round < 5; round++) {
			const gid = `deadlock-${round}`;
			const { open, gate } = await openAction(gid);
			const refused = assert.rejects(open, /rolled back/);
			const compensations = [compensate(gid), compensate(gid)];
			gate.reject(new Error("rolled back"));
			await Promise.all([refused, ...compensations]);
		}
		assert.equal(await balance(), 0);
	});

	it("sees in a compensation what the action committed while it waited", async t => {
		const { openAction, compensate, balance } = await accountIn(await sagaDatabase(t, databases));
		const { open, gate } = await openAction();
		let seen: number | undefined;
		const compensation = compensate("g1", async tx => {
			seen = await balance(tx);
		});
		gate.resolve();
		await Promise.all([open, compensation]);
		assert.equal(seen, 100);
	});

	it("tells ids apart that differ in case, trailing space or length only", async t => {
		const database = await sagaDatabase(t, databases);
		const { action, balance } = await accountIn(database);
		const ids = ["Abc", "aBC", "abc", "x".repeat(63), "x".repeat(64)];
		for (const gid of ids) await action(gid);
		assert.equal(await balance(), 100 * ids.length);
	});

	it("refuses an id that the column does not hold, on MariaDB, instead of shortening it", async t => {
		if (databases.dialect === "sqlite") return t.skip("SQLite does not limit text; the engine refuses such ids");
		const { action } = await accountIn(await sagaDatabase(t, databases));
		return assert.rejects(action("x".repeat(65)), /Data too long/);
	});

	it("keeps two call sites of one branch apart by their names", async t => {
		const { transaction } = await sagaDatabase(t, databases);
		const done: string[] = [];
		const run = (site: string) =>
			transaction(tx => barrier(branch("action"), tx, async () => void done.push(site), { site }));
		for (const site of ["first", "second", "first"]) await run(site);
		assert.deepEqual(done, ["first", "second"]);
	});

	it("refuses a call that comes from no saga", async t => {
		const { transaction } = await sagaDatabase(t, databases);
		const alone = { meta: {}, broker } as never;
		await assert.rejects(
			transaction(tx => barrier(alone, tx, async () => assert.fail("it ran"))),
			{ type: "SAGA_FAILURE" }
		);
	});

	it("R15: keeps its rows until they are old enough", async t => {
		const database = await sagaDatabase(t, databases);
		const { action } = await accountIn(database);
		await action();
		assert.equal(await purgeBarriers(database.db, 60_000, 100), 0);
		await until("the row is a moment old", async () => (await purgeBarriers(database.db, 5, 100)) === 1);
		assert.deepEqual(await rowsOf(database, "saga_barrier"), []);
	});
});
