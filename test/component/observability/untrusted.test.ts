import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newId } from "../../../lib/observability/trace-context.ts";
import { startApp, useEnvironment } from "../../support/app.ts";
import { sendRaw } from "../../support/raw.ts";

useEnvironment({ TRACE_INCOMING: "ignore" });

describe("A gateway that faces strangers", () => {
	it("begins a trace of its own, whatever traceparent a client sends", async t => {
		const { client } = await startApp(t);
		const traceID = newId();
		const headers = { traceparent: `00-${traceID}-b7ad6b7169203331-01` };
		const answer = await client.send("GET", "/openapi.json", { headers });
		assert.match(String(answer.headers["x-request-id"]), /^[0-9a-f]{32}$/);
		assert.notEqual(answer.headers["x-request-id"], traceID);
		const refused = await sendRaw(client.url, `GET / HTTP/1.1\r\ntraceparent: ${headers.traceparent}\r\n\r\n`);
		assert.match(refused.text, /X-Request-ID: [0-9a-f]{32}\r\n/);
		assert.equal(refused.text.includes(traceID), false);
	});
});
