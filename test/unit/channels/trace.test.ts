import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { traceHeaders, traceOf } from "../../../mixins/channels/trace.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("The trace of a message", () => {
	it("has the ids of who published it, whatever characters they have", () => {
		const headers = traceHeaders({ id: "a,b=ü", requestID: "50% off", tracing: true, action: null, caller: null });
		assert.deepEqual(traceOf(headers), { requestID: "50% off", parentID: "a,b=ü", sampled: true });
	});

	it("is read from headers of others that encode nothing", () => {
		const headers = { traceparent: TRACEPARENT, tracestate: "moleculer=a%", "x-request-id": "50%" };
		assert.deepEqual(traceOf(headers), { requestID: "50%", parentID: "a%", sampled: true });
	});
});
