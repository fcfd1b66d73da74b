import { createBarrierTable, dropBarrierTable } from "../../../mixins/saga/migrations.ts";
import type { Schema } from "../../schema.ts";

export function up(schema: Schema): Promise<void> {
	return createBarrierTable(statement => schema.query(statement));
}

export function down(schema: Schema): Promise<void> {
	return dropBarrierTable(statement => schema.query(statement));
}
