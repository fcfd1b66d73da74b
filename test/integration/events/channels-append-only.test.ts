import assert from "node:assert/strict";
import { it } from "node:test";
import { fact, onEachStreamPlace, run, streams } from "../../support/channels.ts";

await onEachStreamPlace("A stream that only grows", place => {
	it("refuses to remove a message, and says so; of another one, what is gone already is no error", async t => {
		const url = await place.create();
		const ledger = { name: "LEDGER", subjects: ["ledger.>"], maxAge: 3600, appendOnly: true };
		const { channels } = await run(t, url, { streams: [...streams, ledger] });
		const { transport } = channels;
		const { seq } = await channels.publish(fact(1, { stream: "LEDGER", subject: "ledger.entry" }));
		await assert.rejects(transport.remove("LEDGER", seq));
		assert.equal((await transport.next("LEDGER", 1, ">"))?.seq, seq);

		const other = await channels.publish(fact(2));
		assert.deepEqual(
			[await transport.remove("FACTS", other.seq), await transport.remove("FACTS", other.seq)],
			[true, false]
		);
		assert.equal(await transport.next("FACTS", 1, ">"), null);
	});
});
