import assert from "node:assert/strict";
import { it } from "node:test";
import { type Context, type Span, TracerExporters } from "moleculer";
import { traceHeaders } from "../../../mixins/channels/trace.ts";
import { fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

/** Keeps finished spans. */
class Kept extends TracerExporters.Base {
	readonly spans: Span[] = [];

	override spanFinished(span: Span): void {
		this.spans.push(span);
	}
}

await onEachStreamPlace("C7: the trace of a message", place => {
	it("goes from the action that published it to the handler, and each redelivery is marked", async t => {
		const url = await place.create();
		const kept = new Kept({});
		const requests: (string | null)[] = [];
		const { broker, channels } = await run(t, url, {
			broker: { tracing: { enabled: true, exporter: kept as never } },
			async handler(ctx, { attempts, headers }) {
				requests.push(ctx.requestID);
				assert.equal(headers["x-caller"], "reader.count");
				assert.equal(ctx.caller, "reader.count");
				if (attempts === 1) throw new Error("once more");
			},
			schema: {
				actions: {
					async count(ctx: Context) {
						await channels.publish(fact(1, { headers: traceHeaders(ctx) }));
						return ctx.id;
					}
				}
			}
		});
		const requestID = "0af7651916cd43dd8448eb211c80319c";
		const spanId = await broker.call("reader.count", {}, { requestID });
		const handled = () => kept.spans.filter(span => span.name === "channel 'reader'");
		await until("two spans", () => handled().length === 2);

		assert.deepEqual(requests, [requestID, requestID]);
		for (const span of handled()) assert.deepEqual([span.traceID, span.parentID], [requestID, spanId]);
		assert.deepEqual(
			handled().map(({ tags, error }) => [tags.attempt, Boolean(error)]),
			[
				[1, true],
				[2, false]
			]
		);
	});
});
