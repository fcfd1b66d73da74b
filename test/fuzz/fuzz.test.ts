import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startApp, useEnvironment } from "../support/app.ts";
import { fuzz, PATIENT } from "./fuzz.ts";

useEnvironment({ LOGIN_ATTEMPTS: "0" });

describe("1,500 generated requests", () => {
	it("are all answered, and as the OpenAPI document says", async t => {
		const { client } = await startApp(t, {}, PATIENT);
		const rows = await fuzz(client, { requests: 1500, seed: 20261121 });
		assert.deepEqual(
			rows.flatMap(({ operation, violation }) => (violation ? [`${operation}: ${violation}`] : [])),
			[]
		);
		assert.ok(rows.reduce((sum, { requests }) => sum + requests, 0) >= 1500);
		const successes = rows.filter(({ statuses }) => statuses[200] || statuses[201]);
		assert.equal(successes.length, rows.length, "an operation that no request got through to");
	});
});
