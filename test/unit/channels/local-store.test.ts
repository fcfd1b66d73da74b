import assert from "node:assert/strict";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { LocalStore } from "../../../mixins/channels/local/store.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";

const STREAM = "FACTS";
const READER = "reader";

describe("The file of streams", () => {
	const folder = temporaryFolder("streams");
	let files = 0;
	let store: LocalStore;

	const take = (now: number, limit = 10) =>
		store.take(STREAM, READER, { now, due: now + 100, limit }).map(({ seq, attempts }) => [seq, attempts]);

	beforeEach(() => {
		store = new LocalStore(join(folder, `${++files}.sqlite`));
		store.declareStream({ name: STREAM, subjects: ["fact"], maxAge: 3600 }, 0);
		store.declareConsumer(STREAM, READER);
		const messages = ["a", "b", "c"].map(id => ({
			message: { stream: STREAM, subject: "fact", id, headers: {}, data: "{}" },
			since: 0
		}));
		store.append(messages, 1);
	});

	afterEach(() => store.close());

	it("hands out several new messages at once, and what comes again alone", () => {
		assert.deepEqual(take(1, 2), [
			[1, 1],
			[2, 1]
		]);
		assert.deepEqual(take(101), [[1, 2]]);
		assert.deepEqual(take(101), [[2, 2]]);
		assert.deepEqual(take(101), [[3, 1]]);
	});

	it("takes messages back that nobody accepted, and does not count the attempt", () => {
		take(1);
		store.untake(STREAM, READER, [2, 3]);
		assert.deepEqual(take(2), [[2, 1]]);
		assert.deepEqual(take(2), [[3, 1]]);
	});

	it("waits for no message that was removed or has grown too old", () => {
		take(1);
		store.remove(STREAM, 1);
		assert.equal(store.pending(STREAM, READER), 2);
		assert.equal(store.removeBefore(STREAM, 2, 10), 2);
		assert.deepEqual([store.pending(STREAM, READER), store.nextDue(STREAM, READER)], [0, undefined]);
	});

	it("removes what has grown too old in slices, the oldest first", () => {
		take(1);
		assert.equal(store.removeBefore(STREAM, 2, 2), 2);
		assert.deepEqual([store.pending(STREAM, READER), [...store.from(STREAM, 1)].map(({ seq }) => seq)], [1, [3]]);
		assert.equal(store.removeBefore(STREAM, 2, 2), 1);
		assert.equal(store.removeBefore(STREAM, 2, 2), 0);
	});

	it("keeps nothing of what could not be stored as a whole, and goes on", () => {
		const of = (stream: string, id: string) => ({
			message: { stream, subject: "fact", id, headers: {}, data: "{}" },
			since: 0
		});
		assert.throws(() => store.append([of(STREAM, "d"), of("UNKNOWN", "e")], 2));
		assert.deepEqual(store.consumerState(STREAM, READER), { waiting: 3, pending: 0 });
		assert.deepEqual(store.append([of(STREAM, "d")], 2), [{ seq: 4, duplicate: false }]);
	});

	it("knows a message by its id for as long as it is told to, in its own stream", () => {
		const message = { stream: STREAM, subject: "fact", id: "a", headers: {}, data: "{}" };
		assert.deepEqual(store.append([{ message, since: 1 }], 2), [{ seq: 1, duplicate: true }]);
		assert.deepEqual(store.append([{ message, since: 2 }], 2), [{ seq: 4, duplicate: false }]);
		store.declareStream({ name: "ANOTHER", subjects: ["fact"], maxAge: 3600 }, 0);
		const other = { message: { ...message, stream: "ANOTHER" }, since: 0 };
		assert.deepEqual(store.append([other], 2), [{ seq: 1, duplicate: false }]);
	});
});
