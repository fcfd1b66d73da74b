import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable(
		"notes",
		{
			id: types.id(),
			user_id: types.reference(),
			title: types.text(128),
			content: types.longText(),
			title_folded: types.text(512),
			content_folded: types.mediumText(),
			version: { ...types.integer(), defaultValue: 1 },
			created_at: types.time(),
			updated_at: types.time(),
			deleted_at: { ...types.time(), allowNull: true }
		},
		[{ name: "notes_user_id_deleted_at_id", fields: ["user_id", "deleted_at", "id"] }]
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("notes");
}
