import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	await schema.addColumn("users", "status", { ...schema.types.ascii(16), defaultValue: "ACTIVE" });
}

export async function down(schema: Schema): Promise<void> {
	await schema.removeColumn("users", "status");
}
