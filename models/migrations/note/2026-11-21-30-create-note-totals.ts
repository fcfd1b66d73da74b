import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable("note_totals", {
		owner_id: { ...types.reference(), primaryKey: true },
		total: types.integer()
	});
	await schema.query(
		"INSERT INTO note_totals SELECT user_id, COUNT(*) FROM notes WHERE deleted_at IS NULL GROUP BY user_id"
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("note_totals");
}
