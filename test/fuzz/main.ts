/** `npm run fuzz -- [--quick] [--seed <integer>]`: attacks the embedded shape; ends with 1 where the contract was broken. */
import { parseArgs } from "node:util";
import { startApp, useEnvironment } from "../support/app.ts";
import { fuzz, PATIENT } from "./fuzz.ts";

const REQUESTS = 21_000;
const QUICK_REQUESTS = 1_500;

const { values } = parseArgs({
	options: { quick: { type: "boolean" }, seed: { type: "string", default: "20261121" } }
});
const seed = Number(values.seed);
const requests = values.quick ? QUICK_REQUESTS : REQUESTS;
console.log(`Seed ${seed}, ${requests} requests`);

useEnvironment({ LOGIN_ATTEMPTS: "0" });
const ends: (() => Promise<void>)[] = [];
const { client } = await startApp({ after: (end: () => Promise<void>) => void ends.push(end) }, {}, PATIENT);
const started = performance.now();
const rows = await fuzz(client, { requests, seed });
for (const end of ends) await end();

console.table(
	Object.fromEntries(
		rows.map(({ operation, requests, statuses, slowestMs, violation }) => [
			operation,
			{ requests, ...statuses, "slowest ms": slowestMs, kept: violation === undefined }
		])
	)
);
const violations = rows.filter(({ violation }) => violation !== undefined);
for (const { operation, violation } of violations) console.log(`\n${operation}: ${violation}`);
const sent = rows.reduce((sum, row) => sum + row.requests, 0);
const seconds = Math.round((performance.now() - started) / 100) / 10;
console.log(JSON.stringify({ seed, requests: sent, seconds, violations: violations.length }));
process.exitCode = violations.length > 0 ? 1 : 0;
