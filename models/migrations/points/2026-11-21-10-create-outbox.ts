import { createOutboxTables, dropOutboxTables } from "../../event-tables.ts";

export { createOutboxTables as up, dropOutboxTables as down };
