import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inTurn } from "../../../mixins/db/turn.ts";
import { WriteLock, writeLockOf } from "../../../mixins/db/write-lock.ts";

const LONG = 60_000;

describe("The write lock", () => {
	it("is held by one at a time, in the order of asking", async () => {
		const lock = new WriteLock();
		const order: number[] = [];
		let holders = 0;
		await Promise.all(
			Array.from({ length: 20 }, async (_, n) => {
				const release = await lock.acquire(LONG);
				assert.equal(++holders, 1);
				await new Promise(setImmediate);
				holders--;
				order.push(n);
				release?.();
			})
		);
		assert.deepEqual(
			order,
			Array.from({ length: 20 }, (_, n) => n)
		);
	});

	it("passes by those whose time is over", async () => {
		const lock = new WriteLock();
		const release = await lock.acquire(LONG);
		const [early, patient] = [lock.acquire(1), lock.acquire(LONG)];
		assert.equal(await early, undefined);
		release?.();
		assert.equal(typeof (await patient), "function");
	});

	it("is given back once, however often its release is called", async () => {
		const lock = new WriteLock();
		const first = await lock.acquire(LONG);
		const [second, third] = [lock.acquire(LONG), lock.acquire(1)];
		first?.();
		first?.();
		await second;
		assert.equal(await third, undefined, "the second one still holds it");
	});

	it("is one and the same for all ways to write the path of a file", () => {
		assert.equal(writeLockOf("data/note.sqlite"), writeLockOf("./data/../data/note.sqlite"));
		assert.notEqual(writeLockOf("data/note.sqlite"), writeLockOf("data/user.sqlite"));
	});
});

describe("A job in turn", () => {
	it("runs later, in order of arrival, and answers what it returned or threw", async () => {
		const order: string[] = [];
		const jobs = Promise.allSettled([
			inTurn(() => order.push("a")),
			inTurn(() => {
				order.push("b");
				throw new Error("failed");
			}),
			inTurn(() => order.push("c"))
		]);
		assert.deepEqual(order, []);
		const outcomes = await jobs;
		assert.deepEqual(order, ["a", "b", "c"]);
		assert.deepEqual(
			outcomes.map(({ status }) => status),
			["fulfilled", "rejected", "fulfilled"]
		);
	});
});
