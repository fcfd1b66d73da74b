import assert from "node:assert/strict";
import { it } from "node:test";
import { PendingRequests } from "../../../mixins/etcd-registry/pending-requests.ts";

it("pending requests are kept, found, counted and forgotten as in a Map, whatever their ids are called", () => {
	const requests = new PendingRequests<number>();
	for (const [number, id] of ["a", "__proto__", "constructor", "1"].entries()) {
		assert.equal(requests.has(id), false);
		assert.equal(requests.get(id), undefined);
		requests.set(id, number);
	}
	assert.equal(requests.set("a", 7).size, 4);
	assert.deepEqual(
		new Map(requests.entries()),
		new Map(Object.entries({ 1: 3, a: 7, constructor: 2 })).set("__proto__", 1)
	);
	assert.deepEqual(
		[...requests].map(([id]) => requests.get(id)),
		[...requests.values()]
	);

	assert.deepEqual([requests.delete("a"), requests.delete("a"), requests.delete("never")], [true, false, false]);
	assert.deepEqual([requests.size, requests.get("a")], [3, undefined]);
	const seen: string[] = [];
	requests.forEach((_request, id) => {
		seen.push(id);
		requests.delete(id);
	});
	assert.deepEqual(seen.sort(), ["1", "__proto__", "constructor"]);
	assert.deepEqual([requests.size, [...requests.keys()]], [0, []]);
	requests.set("b", 1).clear();
	assert.equal(requests.size, 0);
});
