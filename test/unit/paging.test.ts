import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cursors } from "../../lib/paging.ts";

const notes = cursors("n", ["id"]);
const entries = cursors("a", ["time", "id"]);
const encoded = (text: string) => Buffer.from(text).toString("base64url");

describe("A cursor", () => {
	it("is turned back into the place it was made of", () => {
		for (const id of [1, 42, Number.MAX_SAFE_INTEGER]) {
			assert.deepEqual(notes.placeOf(notes.after({ id })), { id });
			assert.deepEqual(entries.placeOf(entries.after({ time: 1_795_237_200_000, id })), {
				time: 1_795_237_200_000,
				id
			});
		}
	});

	it("holds what the list is ordered by, and nothing else of the row", () => {
		assert.equal(notes.after({ id: 7, title: "secret" } as { id: number }), encoded("n7"));
		assert.equal(entries.after({ id: 7, time: 9 }), encoded("a9.7"));
	});

	it("that is not given stands for no place", () => {
		assert.equal(notes.placeOf(undefined), undefined);
	});

	const forged = [
		"n0",
		"n-1",
		"n01",
		"n1.5",
		"n1.",
		"n",
		"n1e3",
		"n 1",
		"n0x7",
		"nNaN",
		"n9999999999999999",
		"a1",
		"1"
	];
	const strange = ["", "n1", `${notes.after({ id: 7 })}=`, ` ${notes.after({ id: 7 })}`, "💥", "../etc"];
	for (const cursor of [...forged.map(encoded), ...strange, entries.after({ time: 1, id: 1 })])
		it(`of a list of ids is not ${JSON.stringify(cursor)}`, () => {
			assert.throws(() => notes.placeOf(cursor), { type: "VALIDATION_ERROR" });
		});

	for (const cursor of ["a1", "a1.", "a1.2.3", "a.1", "n1.2"].map(encoded))
		it(`of a list by time and id is not ${JSON.stringify(cursor)}`, () => {
			assert.throws(() => entries.placeOf(cursor), { type: "VALIDATION_ERROR" });
		});
});

describe("A page", () => {
	const rows = [{ id: 9 }, { id: 8 }, { id: 7 }];

	it("leaves out the row too many, which says that there is a next one", () => {
		assert.deepEqual(notes.page(rows, 2), { page: [{ id: 9 }, { id: 8 }], next_cursor: notes.after({ id: 8 }) });
	});

	it("is the last one where there is no row too many", () => {
		assert.deepEqual(notes.page(rows, 3), { page: rows, next_cursor: null });
		assert.deepEqual(notes.page([], 3), { page: [], next_cursor: null });
	});
});
