import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { consumer, fact, onEachStreamPlace, run } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

/** More than wait in one process behind a message that fails. */
const FACTS = 60;
const OUTAGE_MS = 3_000;

await onEachStreamPlace("While a handler's database is away", place => {
	it("what waits behind a failing message is not counted out, whoever gets it afterwards", async t => {
		const url = await place.create();
		const definition = consumer({ orderBy: "source", concurrency: 1, ackWait: 1_000, maxAttempts: 6, retryDelay: 250 });
		const handled = new Set<number>();
		let isAway = true;
		const serve = () =>
			run(t, url, {
				definition,
				async handler({ params: { n } }) {
					if (isAway) throw new Error("The database does not answer");
					handled.add(n);
				}
			});
		const first = await serve();
		for (let n = 1; n <= FACTS; n++) await first.channels.publish(fact(n, { headers: { source: "note" } }));
		await delay(OUTAGE_MS);
		await first.stop();
		const second = await serve();
		isAway = false;
		await until("all are settled", async () => {
			const { waiting, pending } = await second.channels.transport.consumerState(definition);
			return waiting + pending === 0;
		});
		assert.deepEqual(await second.channels.deadLetters.list(), []);
		assert.equal(handled.size, FACTS);
	});
});
