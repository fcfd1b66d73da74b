import assert from "node:assert/strict";
import { it } from "node:test";
import { QueryTypes } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { statements } from "../../mixins/db/prepared.ts";
import { migrate, rollback } from "../../models/migrator.ts";
import { noteStore } from "../../services/note/note.store.ts";
import { onEachDatabase } from "../support/databases.ts";

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
