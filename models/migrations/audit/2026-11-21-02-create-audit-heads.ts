import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	await schema.createTable("audit_heads", {
		source: { ...types.ascii(64), primaryKey: true },
		position: types.bigInteger(),
		hash: types.fixedAscii(64),
		max_sequence: types.bigInteger()
	});
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("audit_heads");
}
