import assert from "node:assert/strict";
import { it } from "node:test";
import { Errors } from "moleculer";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { startApp, useEnvironment } from "../support/app.ts";
import { until } from "../support/until.ts";

useEnvironment();

/** As many as a route is left with at least. */
const LEAST = 8;

it("A gateway behind which a service has no room refuses requests of that route before it works for them, none of others, and takes them again step by step", async t => {
	let calls = 0;
	let isFull = false;
	const { promise: held, resolve } = Promise.withResolvers<object>();
	const note = {
		name: "note",
		actions: {
			query() {
				calls++;
				if (!isFull) return held;
				throw new Errors.QueueIsFullError({ action: "note.query", nodeID: "n", size: 256, limit: 256 });
			},
			mget: () => ({}),
			ready: () => true
		}
	};
	const app = await startApp(t, { note }, { metrics: true });
	const { token } = await app.client.newUser();
	const query = () => app.client.send("GET", "/v1/note/query", { token });
	const shed = () => app.broker.metrics.getMetric("http.shed.total")?.get({ reason: "service" })?.value;

	const kept = Array.from({ length: LEAST }, query);
	await until("all are under way", () => calls === LEAST);
	isFull = true;
	assertFailure(await query(), "unavailable");
	assert.deepEqual([calls, shed()], [LEAST + 1, 0]);
	// The bound grows every tenth of a second: where the machine pauses, a request may come through once more.
	await until("the gateway refuses it", async () => {
		const before = calls;
		assertFailure(await query(), "unavailable");
		return shed() === 1 && calls === before;
	});
	assertSuccess(await app.client.send("GET", "/v1/user/me", { token }));

	isFull = false;
	await until("one more is let in", async () => {
		const before = calls;
		kept.push(query());
		await until("it was judged", () => calls > before || (shed() ?? 0) > kept.length - LEAST);
		return calls > before;
	});
	resolve({ total: 0, notes: [], next_cursor: null });
	const statuses = (await Promise.all(kept)).map(({ status }) => status);
	assert.equal(statuses.filter(status => status === 200).length, LEAST + 1);
});
