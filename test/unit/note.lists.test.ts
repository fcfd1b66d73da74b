import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Note, NotePage } from "../../services/note/note.contract.ts";
import { noteLists } from "../../services/note/note.lists.ts";

const pageOf = (total: number): NotePage => ({ total, notes: [], next_cursor: null });

/** A cacher of one process, with what a test wants to know of it. */
class MapCacher {
	readonly kept = new Map<string, unknown>();
	fails = false;

	async get(key: string): Promise<unknown> {
		if (this.fails) throw new Error("The cacher is away");
		return this.kept.get(key);
	}

	async set(key: string, value: unknown): Promise<void> {
		if (this.fails) throw new Error("The cacher is away");
		this.kept.set(key, value);
	}
}

function listsOf(cacher: MapCacher | null) {
	const warnings: unknown[] = [];
	let loads = 0;
	const lists = noteLists(cacher, error => warnings.push(error));
	const load = async () => pageOf(++loads);
	return { lists, load, warnings, loads: () => loads };
}

describe("The lists that are remembered", () => {
	it("are loaded once, until their user writes", async () => {
		const { lists, load } = listsOf(new MapCacher());
		assert.equal((await lists.page(1, {}, load)).total, 1);
		assert.equal((await lists.page(1, {}, load)).total, 1);
		await lists.changing(1, async () => {});
		assert.equal((await lists.page(1, {}, load)).total, 2);
	});

	it("are loaded anew after a write that failed: only its answer may be lost", async () => {
		const { lists, load } = listsOf(new MapCacher());
		await lists.page(1, {}, load);
		const failure = new Error("The database has gone");
		await assert.rejects(
			lists.changing(1, () => Promise.reject(failure)),
			failure
		);
		assert.equal((await lists.page(1, {}, load)).total, 2);
	});

	it("are told apart by user and by what was asked", async () => {
		const { lists, load, loads } = listsOf(new MapCacher());
		for (const [user, asked] of [
			[1, { limit: 10 }],
			[1, { limit: 20 }],
			[2, { limit: 10 }]
		] as const)
			await lists.page(user, asked, load);
		assert.equal(loads(), 3);
		await lists.changing(2, async () => {});
		await lists.page(1, { limit: 10 }, load);
		assert.equal(loads(), 3, "another user's write changes nothing");
	});

	it("are loaded once however many ask at the same moment", async () => {
		const { lists, load, loads } = listsOf(new MapCacher());
		await lists.changing(1, async () => {});
		const pages = await Promise.all(Array.from({ length: 50 }, () => lists.page(1, {}, load)));
		assert.deepEqual([loads(), new Set(pages.map(page => page.total)).size], [1, 1]);
	});

	it("are never older than a write that was answered, also where a reader was overtaken by it", async () => {
		const { lists } = listsOf(new MapCacher());
		await lists.changing(1, async () => {});
		const { promise: database, resolve: answer } = Promise.withResolvers<NotePage>();
		const slow = lists.page(1, {}, () => database);
		await lists.changing(1, async () => {});
		answer(pageOf(0));
		assert.equal((await slow).total, 0, "who asked before the write may see the list before it");
		assert.equal((await lists.page(1, {}, async () => pageOf(1))).total, 1, "who asks after it does not");
	});

	it("are loaded anew for who asks after a write, while one is still loaded from before it", async () => {
		const { lists } = listsOf(new MapCacher());
		await lists.changing(1, async () => {});
		const { promise: database, resolve: answer } = Promise.withResolvers<NotePage>();
		const slow = lists.page(1, {}, () => database);
		await lists.changing(1, async () => {});
		const later = lists.page(1, {}, async () => pageOf(1));
		await nextTurn();
		answer(pageOf(0));
		assert.deepEqual([(await slow).total, (await later).total], [0, 1]);
	});

	it("are not remembered where the name of an author is missing", async () => {
		const { lists } = listsOf(new MapCacher());
		const named = (username: string) => async () => ({ ...pageOf(1), notes: [{ username } as Note] });
		await lists.page(1, {}, named(""));
		assert.equal((await lists.page(1, {}, named("ada"))).notes[0]?.username, "ada");
	});

	it("are loaded by the next one who asks, where a load has failed", async () => {
		const { lists, load } = listsOf(new MapCacher());
		await assert.rejects(
			lists.page(1, {}, () => Promise.reject(new Error("The database is away"))),
			/database is away/
		);
		assert.equal((await lists.page(1, {}, load)).total, 1);
	});

	it("come from the database while the cacher is away, and requests go on", async () => {
		const cacher = new MapCacher();
		const { lists, load, warnings } = listsOf(cacher);
		await lists.page(1, {}, load);
		cacher.fails = true;
		assert.equal((await lists.page(1, {}, load)).total, 2);
		await lists.changing(1, async () => {});
		assert.ok(warnings.length >= 2);
	});

	it("are not remembered without a cacher", async () => {
		const { lists, load } = listsOf(null);
		await lists.page(1, {}, load);
		assert.equal((await lists.page(1, {}, load)).total, 2);
	});
});
