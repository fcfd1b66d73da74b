import { createIdempotencyTable, dropIdempotencyTable } from "../../idempotency-table.ts";

export { createIdempotencyTable as up, dropIdempotencyTable as down };
