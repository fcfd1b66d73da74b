import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { QueryTypes, type Transaction } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { statements } from "../../mixins/db/prepared.ts";
import { SharedTransactions } from "../../mixins/db/shared-transactions.ts";
import { runInTransaction } from "../../mixins/db/transaction.ts";
import { migrate, rollback } from "../../models/migrator.ts";
import { noteStore } from "../../services/note/note.store.ts";
import { mariadbDatabases, onEachDatabase } from "../support/databases.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

/** The servers that answer the ids of several rows, and those that do not: MySQL. */
for (const server of ["mariadb", "mysql"])
	describe(`The numbers of users' notes as on ${server}`, await requireServers("mariadb"), () => {
		const databases = mariadbDatabases();

		it("are right, and each note is there once, after a deadlock with somebody at the database", async t => {
			const url = await databases.create();
			const { sequelize, release } = acquire(url);
			t.after(release);
			if (server === "mysql")
				sequelize.addHook("afterConnect", handle => void Object.assign(handle as object, { isMariadb: false }));
			await migrate(sequelize, "note");
			const store = noteStore(statements(sequelize));
			const write = (user: number) => (transaction: Transaction) =>
				store.insert(user, { title: "new", content: "c" }, transaction);
			// InnoDB ends the transaction that has changed less, which must not be the other one's.
			for (const user of [...Array<number>(20).fill(5), 7]) await runInTransaction(sequelize, write(user));
			const filler = Array.from(
				{ length: 3000 },
				(_, i) => `(${100 + (i % 300)}, 'a', 'a', 'b', 'b', 1, NOW(), NOW())`
			);
			await sequelize.query(
				`INSERT INTO notes (user_id, title, title_folded, content, content_folded, version, created_at, updated_at)
				VALUES ${filler.join(", ")}`
			);
			await sequelize.query("ANALYZE TABLE notes");

			const other = await createConnection(url);
			t.after(() => other.end());
			const change = (user: number) => other.query("UPDATE notes SET version = version + 1 WHERE user_id = ?", [user]);
			const waiting = async () => {
				const [rows] = await other.query<RowDataPacket[]>(
					"SELECT id FROM information_schema.PROCESSLIST WHERE info LIKE 'INSERT INTO notes%' AND time_ms > 200"
				);
				return rows.length > 0;
			};
			await other.query("BEGIN");
			await change(5);
			const together = new SharedTransactions(sequelize);
			// The first one is alone, so that the other three share a transaction.
			const written = Promise.all([3, 7, 5, 8].map(user => together.run(write(user))));
			await until("the shared transaction waits for a gap between notes", waiting);
			await change(7);
			await other.query("COMMIT");
			await written;

			const [status] = await sequelize.query<{ Status: string }>("SHOW ENGINE INNODB STATUS", {
				type: QueryTypes.SELECT
			});
			assert.match(status?.Status ?? "", /LATEST DETECTED DEADLOCK/);
			const rows = await sequelize.query<{ owner_id: number; total: number; notes: number }>(
				`SELECT owner_id, total, (SELECT COUNT(*) FROM notes WHERE user_id = owner_id) AS notes FROM note_totals ORDER BY owner_id`,
				{ type: QueryTypes.SELECT }
			);
			assert.deepEqual(
				rows.map(({ owner_id, total, notes }) => [owner_id, total, notes].map(Number)),
				[
					[3, 1, 1],
					[5, 21, 21],
					[7, 2, 2],
					[8, 1, 1]
				]
			);
		});
	});

await onEachDatabase("The numbers of users' notes", databases => {
	it("are counted when they are introduced, without deleted notes, and then kept", async t => {
		const { sequelize, release } = acquire(await databases.create());
		t.after(release);
		await migrate(sequelize, "note");
		assert.deepEqual(await rollback(sequelize, "note"), ["2026-11-21-30-create-note-totals"]);
		const time = "'2026-11-21 10:00:00.000'";
		const note = (user: number, deleted: string) =>
			`(${user}, 'title', 'title', 'content', 'content', 1, ${time}, ${time}, ${deleted})`;
		await sequelize.query(
			`INSERT INTO notes (user_id, title, title_folded, content, content_folded, version, created_at, updated_at, deleted_at)
			VALUES ${[note(1, "NULL"), note(1, "NULL"), note(1, time), note(2, "NULL"), note(3, time)].join(", ")}`
		);
		await migrate(sequelize, "note");

		const rows = await sequelize.query<{ owner_id: number; total: number }>(
			"SELECT owner_id, total FROM note_totals ORDER BY owner_id",
			{ type: QueryTypes.SELECT }
		);
		assert.deepEqual(
			rows.map(({ owner_id, total }) => [Number(owner_id), Number(total)]),
			[
				[1, 2],
				[2, 1]
			]
		);
		const { page, remove } = noteStore(statements(sequelize));
		assert.equal((await page(1, undefined, { offset: 0, limit: 1 })).total, 2);
		assert.equal((await page(3, undefined, { offset: 0, limit: 1 })).total, 0);
		await sequelize.transaction(async transaction => {
			assert.equal(await remove(2, 4, transaction), true);
			assert.equal(await remove(2, 4, transaction), false);
		});
		assert.equal((await page(2, undefined, { offset: 1, limit: 1 })).total, 0, "subtracted once");
		await sequelize.query("DELETE FROM note_totals");
		assert.equal((await page(1, undefined, { offset: 0, limit: 9 })).rows.length, 2, "the notes are there without it");
	});
});
