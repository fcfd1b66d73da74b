import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ReportedSpan } from "jaeger-client";
import type { Span } from "moleculer";
import { JaegerExporter } from "../../../lib/observability/jaeger-exporter.ts";

const span = {
	name: "action 'note.query'",
	traceID: "4bf92f3577b34da6a3ce929d0e0e4736",
	id: "00f067aa0ba902b7aaaaaaaaaaaaaaaa",
	parentID: "b7ad6b71-6920-3331-bbbb-bbbbbbbbbbbb",
	tags: {},
	service: { fullName: "note" }
} as unknown as Span;

/** What the exporter hands to jaeger-client's reporter. */
function reported(): ReportedSpan {
	const exporter = new JaegerExporter({ processTags: {} });
	const spans: ReportedSpan[] = [];
	exporter.tracers = { note: { _reporter: { report: (each: ReportedSpan) => spans.push(each) } } } as never;
	exporter.generateJaegerSpan(span);
	assert.equal(spans.length, 1);
	return spans[0] as ReportedSpan;
}

describe("A span for Jaeger", () => {
	it("has a trace id of 128 bits and span ids of 64, without dashes", () => {
		const { traceId, spanId, parentId } = reported()._spanContext;
		assert.deepEqual(
			[traceId, spanId, parentId].map(id => id?.toString("hex")),
			["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"]
		);
	});

	it("keeps nothing in memory beside its ids while it waits: they are no part of Node's pool", () => {
		const { traceId, spanId, parentId } = reported()._spanContext;
		assert.deepEqual(
			[traceId, spanId, parentId].map(id => id?.buffer.byteLength),
			[16, 8, 8]
		);
	});
});
