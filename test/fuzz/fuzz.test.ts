import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startApp, useEnvironment } from "../support/app.ts";
import { admin, fuzz, PATIENT } from "./fuzz.ts";

useEnvironment({ LOGIN_ATTEMPTS: "0" });

describe("1,500 generated requests", () => {
	it("are all answered, and as the OpenAPI document says", async t => {
		const { client, broker } = await startApp(t, {}, PATIENT);
		const rows = await fuzz(client, { requests: 1500, seed: 20261121, promote: admin(broker) });
		assert.deepEqual(
			rows.flatMap(({ operation, violation }) => (violation ? [`${operation}: ${violation}`] : [])),
			[]
		);
		assert.ok(rows.reduce((sum, { requests }) => sum + requests, 0) >= 1500);
		const unreached = rows.filter(({ statuses }) => ![200, 201, 404].some(status => statuses[status]));
		assert.deepEqual(
			unreached.map(({ operation }) => operation),
			[],
			"operations that no request got through to"
		);
	});
});
