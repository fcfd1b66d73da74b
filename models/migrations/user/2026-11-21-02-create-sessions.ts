import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable(
		"sessions",
		{
			id: { ...types.fixedAscii(22), primaryKey: true },
			user_id: types.reference(),
			token_hash: types.fixedAscii(64),
			created_at: types.time(),
			expires_at: types.time(),
			revoked_at: { ...types.time(), allowNull: true }
		},
		[
			{ name: "sessions_user_id", fields: ["user_id"] },
			{ name: "sessions_expires_at", fields: ["expires_at"] },
			{ name: "sessions_revoked_at", fields: ["revoked_at"] }
		]
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("sessions");
}
