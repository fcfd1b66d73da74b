import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable("accounts", {
		user_id: { ...types.reference(), primaryKey: true },
		balance: types.reference()
	});
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("accounts");
}
