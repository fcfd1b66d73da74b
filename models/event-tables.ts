import type { Schema } from "./schema.ts";

/** The tables of mixins/outbox. */
export async function createOutboxTables(schema: Schema): Promise<void> {
	const { types } = schema;
	const nullable = { allowNull: true } as const;
	await schema.createTable(
		"outbox",
		{
			id: types.id(),
			msg_id: types.fixedAscii(26),
			stream: types.ascii(64),
			subject: types.ascii(255),
			aggregate: { ...types.text(255), ...nullable },
			version: { ...types.bigInteger(), ...nullable },
			payload: types.mediumText(),
			headers: types.longText(),
			sequence: { ...types.bigInteger(), defaultValue: 0 },
			created_at: types.bigInteger(),
			published_at: { ...types.bigInteger(), ...nullable },
			failed_at: { ...types.bigInteger(), ...nullable },
			attempts: { ...types.integer(), defaultValue: 0 },
			last_error: { ...types.text(512), ...nullable }
		},
		[
			{ name: "outbox_msg_id", fields: ["msg_id"], unique: true },
			{ name: "outbox_published_at_id", fields: ["published_at", "id"] },
			{ name: "outbox_failed_at", fields: ["failed_at"] }
		]
	);
	await schema.createTable("outbox_relay", {
		name: { ...types.ascii(16), primaryKey: true },
		epoch: types.bigInteger(),
		owner: types.ascii(26),
		lease_until: types.bigInteger(),
		republish: types.integer()
	});
	await schema.createTable("outbox_streams", {
		stream: { ...types.ascii(64), primaryKey: true },
		created: types.ascii(40),
		last_seq: types.bigInteger(),
		last_sequence: types.bigInteger()
	});
}

export async function dropOutboxTables(schema: Schema): Promise<void> {
	for (const table of ["outbox_streams", "outbox_relay", "outbox"]) await schema.dropTable(table);
}

/** The tables of mixins/inbox. */
export async function createInboxTables(schema: Schema): Promise<void> {
	const { types } = schema;
	const key = (column: ReturnType<typeof types.ascii>) => ({ ...column, primaryKey: true });
	await schema.createTable(
		"inbox",
		{ consumer: key(types.ascii(64)), msg_id: key(types.ascii(64)), received_at: types.bigInteger() },
		[{ name: "inbox_received_at", fields: ["received_at"] }]
	);
	await schema.createTable("inbox_versions", {
		consumer: key(types.ascii(64)),
		aggregate: key(types.text(255)),
		version: types.bigInteger()
	});
}

export async function dropInboxTables(schema: Schema): Promise<void> {
	for (const table of ["inbox_versions", "inbox"]) await schema.dropTable(table);
}
