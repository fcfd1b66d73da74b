import type { Schema } from "../../schema.ts";

export async function up(schema: Schema): Promise<void> {
	const { types } = schema;
	const nullable = { allowNull: true } as const;
	// Every list is one walk along an index: what it filters by, then the order that it is in.
	const listedBy = (...fields: string[]) => ({
		name: `audit_entries_${[...fields, "time"].join("_")}`,
		fields: [...fields, "time", "id"]
	});
	await schema.createTable(
		"audit_entries",
		{
			id: types.id(),
			source: types.ascii(64),
			position: types.bigInteger(),
			sequence: types.bigInteger(),
			event_id: types.ascii(64),
			time: types.bigInteger(),
			user_id: { ...types.reference(), ...nullable },
			action: types.ascii(64),
			object_type: types.ascii(64),
			object_id: { ...types.text(64), ...nullable },
			outcome: types.ascii(16),
			error: { ...types.text(64), ...nullable },
			request_id: types.text(64),
			trace_id: types.fixedAscii(32),
			details: types.longText(),
			hash: types.fixedAscii(64)
		},
		[
			{ name: "audit_entries_source_position", fields: ["source", "position"], unique: true },
			{ name: "audit_entries_source_sequence", fields: ["source", "sequence"], unique: true },
			listedBy(),
			listedBy("user_id"),
			listedBy("action"),
			listedBy("user_id", "action"),
			listedBy("object_type", "object_id"),
			listedBy("outcome"),
			listedBy("user_id", "outcome")
		]
	);
}

export async function down(schema: Schema): Promise<void> {
	await schema.dropTable("audit_entries");
}
