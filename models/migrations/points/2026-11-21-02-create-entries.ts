import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable(
		"entries",
		{
			id: types.id(),
			user_id: types.reference(),
			kind: types.ascii(16),
			points: types.integer(),
			balance: types.reference(),
			reference: types.ascii(64),
			created_at: types.time()
		},
		[
			{ name: "entries_user_id_kind_reference", fields: ["user_id", "kind", "reference"], unique: true },
			{ name: "entries_user_id_id", fields: ["user_id", "id"] }
		]
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("entries");
}
