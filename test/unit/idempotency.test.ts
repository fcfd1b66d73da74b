import assert from "node:assert/strict";
import { it } from "node:test";
import { fingerprintOf } from "../../mixins/idempotency/key.ts";

it("The same parameters of another action are another request", () => {
	const of = (name: string) => fingerprintOf({ action: { name }, params: { a: 1 } } as never);
	assert.notEqual(of("note.create"), of("points.spend"));
});
