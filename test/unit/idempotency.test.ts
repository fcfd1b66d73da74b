import assert from "node:assert/strict";
import { it } from "node:test";
import { fingerprintOf, ownerOf } from "../../mixins/idempotency/key.ts";

it("The same parameters of another action are another request", () => {
	const of = (name: string) => fingerprintOf({ action: { name }, params: { a: 1 } } as never);
	assert.notEqual(of("note.create"), of("points.spend"));
});

it("An owner is stored as the column can hold it, and is nobody else", () => {
	assert.equal(ownerOf("7"), "7");
	for (const plain of ["ann@example.org", "tenant a", "a".repeat(64)]) assert.equal(ownerOf(plain), plain);
	const others = ["ann ", "Ännchen", "", "a".repeat(65), "~", " ann"].map(ownerOf);
	for (const owner of others) assert.match(owner, /^~[\w-]{43}$/);
	assert.equal(new Set([...others, ...others.map(ownerOf)]).size, 2 * others.length);
});
