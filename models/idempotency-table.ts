import type { Schema } from "./schema.ts";

/** The table of mixins/idempotency. */
export async function createIdempotencyTable(schema: Schema): Promise<void> {
	const { types } = schema;
	const key = (length: number) => ({ ...types.ascii(length), primaryKey: true });
	await schema.createTable(
		"idempotency_keys",
		{
			owner: key(64),
			key_hash: key(43),
			fingerprint: types.fixedAscii(43),
			result: { ...types.mediumText(), allowNull: true },
			created_at: types.bigInteger()
		},
		[{ name: "idempotency_keys_created_at", fields: ["created_at"] }]
	);
}

export async function dropIdempotencyTable(schema: Schema): Promise<void> {
	await schema.dropTable("idempotency_keys");
}
