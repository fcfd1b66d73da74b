/**
 * `npm run bench:events [-- --quick]`: from the transaction that writes a fact to the end of the handler, on MariaDB and
 * NATS JetStream; how long a consumer that has stalled takes to make up for it; and the audit list on a thousand and on a
 * million rows. Prints tables, and one JSON object at the end.
 */
import { parseArgs } from "node:util";
import { benchAudit } from "./audit.ts";
import { benchPipeline } from "./pipeline.ts";
import { benchStall } from "./stall.ts";

const { values: options } = parseArgs({ options: { quick: { type: "boolean", default: false } } });

const pipeline = await benchPipeline(options.quick);
console.table(pipeline);
const stall = await benchStall();
console.table(stall);
const audit = await benchAudit(options.quick ? 20_000 : 1_000_000);
console.table(audit);
console.log(JSON.stringify({ pipeline, stall, audit }));
process.exit(0);
