import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OwnKeys } from "../../../mixins/etcd-registry/own-keys.ts";

const A = Buffer.from("a");
const B = Buffer.from("b");
const NOTHING = { puts: [], deletes: [] };

describe("Own keys", () => {
	function committed(): OwnKeys {
		const keys = new OwnKeys();
		keys.want("k", A);
		keys.confirm(keys.difference(), 10);
		return keys;
	}

	it("differ from etcd until the write is confirmed", () => {
		const keys = new OwnKeys();
		keys.want("k", A);
		assert.deepEqual(keys.difference(), { puts: [["k", A]], deletes: [] });
		keys.confirm(keys.difference(), 10);
		assert.deepEqual(keys.difference(), NOTHING);
		keys.unwant("k");
		assert.deepEqual(keys.difference(), { puts: [], deletes: ["k"] });
	});

	it("have to be written again when somebody deletes, overwrites or takes them off the lease", () => {
		for (const [value, ours] of [
			[undefined, false],
			[B, true],
			[A, false]
		] as const) {
			const keys = committed();
			assert.equal(keys.observe("k", value, 11, ours), true);
			assert.deepEqual(keys.difference(), { puts: [["k", A]], deletes: [] });
		}
	});

	it("ignore news that is older than the own write", () => {
		const keys = committed();
		assert.equal(keys.observe("k", undefined, 9, false), false);
		assert.equal(keys.observe("k", B, 10, true), false);
		assert.deepEqual(keys.difference(), NOTHING);
	});

	it("do not care for the keys of others", () => {
		const keys = committed();
		assert.equal(keys.observe("other", B, 11, false), false);
		assert.equal(keys.observe("other", undefined, 12, false), false);
		assert.deepEqual(keys.difference(), NOTHING);
	});

	it("include what an earlier write left under the own lease", () => {
		const keys = committed();
		assert.equal(keys.observe("left", B, 11, true), true);
		assert.deepEqual(keys.difference(), { puts: [], deletes: ["left"] });
	});

	it("are all to be written after the lease is lost", () => {
		const keys = committed();
		keys.forget();
		assert.deepEqual(keys.difference(), { puts: [["k", A]], deletes: [] });
	});
});
