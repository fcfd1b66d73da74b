import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inSample, newId, parseTraceparent } from "../../../lib/observability/trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describe("parseTraceparent()", () => {
	it("reads the trace, the caller's span and its decision", () => {
		assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), { traceID: TRACE, id: SPAN, sampled: true });
		assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-00`), { traceID: TRACE, id: SPAN, sampled: false });
	});
	it("looks at the first flag only, and reads a later version as far as it knows it", () => {
		assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-03`)?.sampled, true);
		assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-02`)?.sampled, false);
		assert.equal(parseTraceparent(`cc-${TRACE}-${SPAN}-01-more`)?.traceID, TRACE);
	});

	const refused: [what: string, header: string | undefined][] = [
		["nothing", undefined],
		["an empty text", ""],
		["a trace of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
		["a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
		["capital letters", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
		["version ff", `ff-${TRACE}-${SPAN}-01`],
		["more fields than version 00 has", `00-${TRACE}-${SPAN}-01-x`],
		["a short trace id", `00-${TRACE.slice(1)}-${SPAN}-01`],
		["two headers", `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`]
	];
	for (const [what, header] of refused)
		it(`takes ${what} for not sent`, () => assert.equal(parseTraceparent(header), undefined));
});

describe("inSample()", () => {
	const ids = Array.from({ length: 20_000 }, newId);
	for (const rate of [0, 0.01, 0.3, 0.7, 1])
		it(`takes about ${rate} of all traces`, () => {
			const share = ids.filter(id => inSample(id, rate)).length / ids.length;
			// Five standard deviations of a binomial distribution.
			assert.ok(Math.abs(share - rate) <= 5 * Math.sqrt((rate * (1 - rate)) / ids.length), `took ${share}`);
		});
	it("decides alike for one trace wherever it is asked, and keeps what a smaller rate takes", () => {
		const few = ids.filter(id => inSample(id, 0.1));
		assert.deepEqual(
			few.filter(id => !inSample(id, 0.5)),
			[]
		);
	});
});
