import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable(
		"users",
		{
			id: types.id(),
			username: types.text(128),
			username_key: types.text(512),
			password_hash: types.ascii(255),
			role: { ...types.ascii(16), defaultValue: "user" },
			avatar: { ...types.text(255), defaultValue: "" },
			created_at: types.time(),
			updated_at: types.time()
		},
		[{ name: "users_username_key", fields: ["username_key"], unique: true }]
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("users");
}
