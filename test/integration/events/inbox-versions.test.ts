import assert from "node:assert/strict";
import { it } from "node:test";
import type { InboxMessage } from "../../../mixins/inbox.mixin.ts";
import { onEachDatabase } from "../../support/databases.ts";
import { FakeStream, outboxDatabase, startWriter, upTo } from "../../support/outbox.ts";

const message = (id: string, version: number): InboxMessage => ({
	id,
	headers: { aggregate: "a", version: String(version) }
});

await onEachDatabase("Versions in an inbox", databases => {
	const start = async (t: { after(end: () => Promise<void>): void }) =>
		startWriter(t, await outboxDatabase(databases), { publisher: () => new FakeStream() });

	it("of which many come at once: the newest takes effect, also where it is the first of its aggregate", async t => {
		const writer = await start(t);
		for (let round = 0; round < 5; round++) {
			const outcomes = await Promise.all(
				upTo(8).map(version => writer.inbox.newer(`reader ${round}`, message(`m${version}`, version), async () => {}))
			);
			assert.equal(outcomes.at(-1), "applied");
		}
	});

	it("are stale when they come again, the last one too", async t => {
		const writer = await start(t);
		const apply = (version: number) => writer.inbox.inOrder("reader", message(`m${version}`, version), async () => {});
		assert.equal(await apply(1), "applied");
		assert.equal(await apply(1), "stale");
		assert.equal(await apply(2), "applied");
		assert.equal(await apply(2), "stale");
	});
});
