import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { type PingResult, Suspects } from "../../../mixins/etcd-registry/suspects.ts";

const OPTIONS = { checkAfter: 1, timeouts: 3, pingTimeout: 10, probe: { base: 1, max: 2 }, quietAfterReconnect: 0 };

/** Suspects whose pings have the given results, the last one for ever, and what was done to the node. */
function suspects(...results: PingResult[]) {
	const done: string[] = [];
	const made = new Suspects(OPTIONS, {
		ping: async () => (results.length > 1 ? results.shift() : results[0]) as PingResult,
		suspend: () => done.push("suspend"),
		evict: () => done.push("evict"),
		restore: () => done.push("restore")
	});
	return { suspects: made, done };
}

async function settled(made: Suspects): Promise<void> {
	while (made.ids.length > 0) await delay(1);
}

describe("A suspect", () => {
	it("without responders is suspended at once and restored by a pong", async () => {
		const { suspects: made, done } = suspects("pong");
		made.noResponders("a");
		assert.deepEqual(done, ["suspend"]);
		await settled(made);
		assert.deepEqual(done, ["suspend", "restore"]);
	});

	it("without responders to the ping either is evicted once, and restored when it answers after all", async () => {
		const { suspects: made, done } = suspects("noResponders", "noResponders", "timeout", "pong");
		made.noResponders("a");
		made.noResponders("a");
		await settled(made);
		assert.deepEqual(done, ["suspend", "evict", "restore"]);
	});

	it("of timeouts is pinged before anything is done to it", async () => {
		const { suspects: made, done } = suspects("pong");
		for (let i = 0; i < OPTIONS.timeouts; i++) made.timedOut("a");
		assert.deepEqual(made.ids, ["a"]);
		await settled(made);
		assert.deepEqual(done, []);
	});

	it("of timeouts that does not answer is suspended until it does", async () => {
		const { suspects: made, done } = suspects("timeout", "timeout", "pong");
		for (let i = 0; i < OPTIONS.timeouts; i++) made.timedOut("a");
		await settled(made);
		assert.deepEqual(done, ["suspend", "restore"]);
	});

	it("is none as long as an answer comes between the timeouts", async () => {
		const { suspects: made, done } = suspects("timeout");
		for (let i = 0; i < 10; i++) {
			made.timedOut("a");
			made.timedOut("a");
			made.answered("a");
		}
		await nextTurn();
		assert.deepEqual([made.ids, done], [[], []]);
	});

	it("is left as it is when the own transporter does not work", async () => {
		const { suspects: made, done } = suspects("unknown");
		for (let i = 0; i < OPTIONS.timeouts; i++) made.timedOut("a");
		await settled(made);
		assert.deepEqual(done, []);
	});

	it("that etcd removes is neither pinged nor restored any more", async () => {
		const { suspects: made, done } = suspects("noResponders");
		made.noResponders("a");
		await nextTurn();
		made.forget("a");
		await delay(20);
		assert.deepEqual(done, ["suspend", "evict"]);
		assert.deepEqual(made.ids, []);
	});

	it("a node that etcd has news from begins with no timeouts", () => {
		const made = new Suspects(OPTIONS, { ping: async () => "timeout", suspend() {}, evict() {}, restore() {} });
		made.timedOut("a");
		made.timedOut("a");
		made.forget("a");
		made.timedOut("a");
		assert.deepEqual(made.ids, []);
	});

	it("a pong that comes after etcd has removed the node does not bring it back", async () => {
		const done: string[] = [];
		const { promise, resolve } = Promise.withResolvers<PingResult>();
		const made = new Suspects(OPTIONS, {
			ping: () => promise,
			suspend: () => done.push("suspend"),
			evict: () => done.push("evict"),
			restore: () => done.push("restore")
		});
		made.noResponders("a");
		await nextTurn();
		made.forget("a");
		resolve("pong");
		await delay(5);
		assert.deepEqual(done, ["suspend"]);
	});
});
