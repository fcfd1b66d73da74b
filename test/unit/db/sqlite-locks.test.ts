import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, it, type TestContext } from "node:test";
import { ForeignKeyConstraintError, QueryTypes, type Sequelize, TimeoutError, type Transaction } from "sequelize";
import { acquire, type ConnectionOptions, type SharedConnection } from "../../../mixins/db/connection.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { spawnNode } from "../../support/processes.ts";

const HOLDER = join(import.meta.dirname, "../../support/hold-sqlite-lock.ts");

/** Counts the turns that a timer got, which it cannot while something blocks the event loop. */
function heartbeat(t: TestContext, interval = 5) {
	let beats = 0;
	const waiting: { beats: number; resolve: () => void }[] = [];
	const timer = setInterval(() => {
		beats++;
		for (const { beats: wanted, resolve } of waiting) if (beats >= wanted) resolve();
	}, interval);
	t.after(() => clearInterval(timer));
	return {
		/** Resolves after so many more beats. */
		more(count: number): Promise<void> {
			return new Promise(resolve => waiting.push({ beats: beats + count, resolve }));
		}
	};
}

describe("Writing to a SQLite file", () => {
	let file: string;
	let connection: SharedConnection;
	let sequelize: Sequelize;

	const open = (options?: ConnectionOptions) => acquire(`sqlite:${file}`, options);
	const run = (sql: string, transaction?: Transaction) => sequelize.query(sql, { transaction });
	const values = async (transaction?: Transaction) => {
		const rows = await sequelize.query<{ value: number }>("SELECT value FROM counters ORDER BY id", {
			type: QueryTypes.SELECT,
			transaction
		});
		return rows.map(({ value }) => value);
	};
	const increment = (transaction?: Transaction) => run("UPDATE counters SET value = value + 1", transaction);

	async function reopen(options: ConnectionOptions): Promise<void> {
		await connection.release();
		connection = open(options);
		sequelize = connection.sequelize;
	}

	beforeEach(async () => {
		file = join(temporaryFolder("locks"), "counters.sqlite");
		connection = open();
		sequelize = connection.sequelize;
		await run("CREATE TABLE counters (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)");
		await run("CREATE TABLE notes (counter INTEGER REFERENCES counters (id) DEFERRABLE INITIALLY DEFERRED)");
		await run("INSERT INTO counters VALUES (1, 0)");
	});
	afterEach(() => connection.release());

	it("lets two hundred mixed writers wait behind an open transaction: none fails, and timers go on", async t => {
		const heart = heartbeat(t);
		const opened = Promise.withResolvers<void>();
		const mayEnd = Promise.withResolvers<void>();
		const held = sequelize.transaction(async transaction => {
			await increment(transaction);
			opened.resolve();
			await mayEnd.promise;
		});
		await opened.promise;

		let written = 0;
		const writers = Array.from({ length: 200 }, async (_, n) => {
			await (n % 2 ? increment() : sequelize.transaction(increment));
			written++;
		});
		// The transaction ends only because a timer fires while all the others wait for it.
		await heart.more(20);
		assert.equal(written, 0);
		assert.deepEqual(await values(), [0], "a reader does not wait");
		mayEnd.resolve();
		await Promise.all([held, ...writers]);
		assert.deepEqual(await values(), [201]);
	});

	it("turns the event loop between statements that are ready to run", async t => {
		const slow =
			"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT count(*) FROM n";
		const heart = heartbeat(t, 1);
		let done = 0;
		const reads = Array.from({ length: 100 }, async () => {
			await run(slow);
			done++;
		});
		await heart.more(3);
		assert.ok(done < 100, "timers fired before the last statement");
		await Promise.all(reads);
	});

	it("lets transactions in in the order they asked", async () => {
		const order: number[] = [];
		const numbers = Array.from({ length: 30 }, (_, n) => n);
		await Promise.all(numbers.map(n => sequelize.transaction(async () => order.push(n))));
		assert.deepEqual(order, numbers);
	});

	it("shows a transaction to itself at once and to others when it commits", async () => {
		await sequelize.transaction(async transaction => {
			await increment(transaction);
			assert.deepEqual([await values(transaction), await values()], [[1], [0]]);
		});
		assert.deepEqual(await values(), [1]);
	});

	it("is reserved for a transaction from its first statement on, also against other processes", async t => {
		const other = new DatabaseSync(file);
		t.after(() => other.close());
		await sequelize.transaction(async transaction => {
			assert.deepEqual(await values(transaction), [0]);
			// Could it write here, our write after the read would be lost or refused.
			assert.throws(() => other.exec("UPDATE counters SET value = 50"), /locked/);
			await increment(transaction);
		});
		other.exec("UPDATE counters SET value = value + 1");
		assert.deepEqual(await values(), [2]);
	});

	it("is free again after a transaction whose COMMIT fails", async () => {
		const orphan = sequelize.transaction(transaction => run("INSERT INTO notes VALUES (99)", transaction));
		await assert.rejects(orphan, ForeignKeyConstraintError);
		await increment();
		assert.deepEqual(await values(), [1]);
	});

	it("is free again after a transaction that SQLite itself has rolled back", async () => {
		const broken = sequelize.transaction(transaction =>
			run("INSERT OR ROLLBACK INTO counters VALUES (1, 1)", transaction)
		);
		await assert.rejects(broken);
		await sequelize.transaction(increment);
		assert.deepEqual(await values(), [1]);
	});

	it("is free again when the pool of an open transaction is closed, whose work is undone", async () => {
		const other = acquire(`sqlite:${dirname(file)}/./${basename(file)}`);
		assert.notEqual(other.sequelize, sequelize);
		const transaction = await other.sequelize.transaction();
		await other.sequelize.query("UPDATE counters SET value = 99", { transaction });
		const waiting = increment();
		await other.release();
		await waiting;
		assert.deepEqual(await values(), [1]);
	});

	it("fails with a message that helps when a statement inside a transaction was not given it", async () => {
		await reopen({ sqlite: { lockTimeout: 50 } });
		await sequelize.transaction(async transaction => {
			await increment(transaction);
			await assert.rejects(increment(), (error: Error) => {
				assert.ok(error instanceof TimeoutError);
				assert.match(error.message, /waited 50 ms to write to .*counters\.sqlite: .* was not given it/);
				return true;
			});
		});
		await increment();
		assert.deepEqual(await values(), [2]);
	});

	describe("while another process holds the lock", () => {
		async function holdLock(t: TestContext) {
			const holder = spawnNode({ args: [HOLDER, file] });
			t.after(() => holder.kill());
			await holder.waitForLine(/^locked$/);
			return holder;
		}

		for (const [what, write] of [
			["a single write", () => increment()],
			["a transaction", () => sequelize.transaction(increment)]
		] as const) {
			it(`makes ${what} wait without blocking timers, and lets it through afterwards`, async t => {
				const heart = heartbeat(t);
				const holder = await holdLock(t);
				let written = false;
				const writing = write().then(() => {
					written = true;
				});
				await heart.more(10);
				assert.equal(written, false);
				assert.deepEqual(await values(), [0], "a reader does not wait");
				assert.equal(await holder.stop(), 0);
				await writing;
				assert.deepEqual(await values(), [1]);
			});
		}

		it("fails with SQLITE_BUSY when its time is over", async t => {
			await reopen({ sqlite: { busyTimeout: 100 } });
			await holdLock(t);
			await assert.rejects(sequelize.transaction(increment), (error: Error) => {
				assert.ok(error instanceof TimeoutError);
				assert.equal((error.parent as Error & { code?: string }).code, "SQLITE_BUSY");
				assert.equal(error.message, "SQLITE_BUSY: database is locked");
				return true;
			});
			await assert.rejects(increment(), TimeoutError);
		});
	});
});
