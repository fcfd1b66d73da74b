import { createSagaListIndex, dropSagaListIndex } from "../../../mixins/saga/migrations.ts";
import type { Schema } from "../../schema.ts";

export function up(schema: Schema): Promise<void> {
	return createSagaListIndex(statement => schema.query(statement));
}

export function down(schema: Schema): Promise<void> {
	return dropSagaListIndex(statement => schema.query(statement));
}
