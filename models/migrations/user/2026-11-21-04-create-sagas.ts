import { createSagaTables, dropSagaTables } from "../../../mixins/saga/migrations.ts";
import type { Schema } from "../../schema.ts";

export function up(schema: Schema): Promise<void> {
	return createSagaTables(statement => schema.query(statement));
}

export function down(schema: Schema): Promise<void> {
	return dropSagaTables(statement => schema.query(statement));
}
