import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StoredNode } from "../../../mixins/etcd-registry/keys.ts";
import { type Change, Membership } from "../../../mixins/etcd-registry/membership.ts";

const HOLD = 7000;

function node(nodeID: string, instanceID = "1", more: Partial<StoredNode> = {}): StoredNode {
	const info = { services: [], seq: 1 };
	return { nodeID, instanceID, born: 1, startedAt: 0, leaving: false, info, lease: "1", revision: 1, ...more };
}

function membership(born = 10): Membership {
	const members = new Membership({ nodeID: "self", instanceID: "m" }, HOLD);
	members.born = born;
	return members;
}

function names(changes: Change[]): string[] {
	return changes.map(({ type, record }) => `${type} ${record.nodeID}/${record.instanceID}`);
}

describe("Membership", () => {
	it("adds, updates and removes a node as its key comes, changes and goes", () => {
		const members = membership();
		assert.deepEqual(names(members.put(node("a"))), ["add a/1"]);
		assert.deepEqual(names(members.put(node("a"))), ["update a/1"]);
		assert.deepEqual(names(members.delete("a", "1", 0)), ["remove a/1"]);
		assert.deepEqual(members.records, []);
		assert.deepEqual(names(members.delete("a", "1", 0)), []);
	});

	it("replaces an instance by a newer one, and ignores whatever is heard of the old one afterwards", () => {
		const members = membership();
		members.put(node("a", "old", { born: 1 }));
		const [change] = members.put(node("a", "new", { born: 2 }));
		assert.equal(change?.type, "replace");
		assert.deepEqual(names(members.delete("a", "old", 0)), []);
		assert.deepEqual(names(members.put(node("a", "old", { born: 1 }))), []);
		assert.equal(members.get("a")?.instanceID, "new");
	});

	for (const { title, other, superseded } of [
		{ title: "a later one", other: { born: 11, instanceID: "a" }, superseded: true },
		{ title: "an earlier one", other: { born: 9, instanceID: "z" }, superseded: false },
		{ title: "one of the same age with a greater id", other: { born: 10, instanceID: "z" }, superseded: true },
		{ title: "one of the same age with a smaller id", other: { born: 10, instanceID: "a" }, superseded: false },
		{ title: "itself", other: { born: 99, instanceID: "m" }, superseded: false }
	]) {
		it(`${superseded ? "gives way to" : "stays beside"} another process with its own node id: ${title}`, () => {
			const changes = membership().put(node("self", other.instanceID, { born: other.born }));
			assert.deepEqual(
				changes.map(({ type }) => type),
				superseded ? ["superseded"] : []
			);
		});
	}

	it("is never a member in its own eyes, so that it cannot evict itself", () => {
		const members = membership();
		assert.deepEqual(members.delete("self", "m", 0), []);
		assert.deepEqual(members.snapshot([], 0), []);
	});

	it("learns from a snapshot who came and who left unseen", () => {
		const members = membership();
		members.snapshot([node("a"), node("b")], 0);
		assert.deepEqual(names(members.snapshot([node("b"), node("c")], 0)), ["update b/1", "add c/1", "remove a/1"]);
	});

	it("holds the absent during an outage and for the hold time after it, and forgets the hold when they are back", () => {
		const members = membership();
		members.snapshot([node("a"), node("b")], 0);
		members.outageBegan();
		assert.deepEqual(names(members.delete("a", "1", 100)), ["hold a/1"]);
		assert.equal(members.holdEnds, undefined, "no end as long as etcd is away");
		members.outageEnded(1000);
		assert.deepEqual(names(members.delete("b", "1", 1001)), ["hold b/1"]);
		assert.equal(members.heldCount, 2);
		assert.equal(members.holdEnds, 1000 + HOLD);

		assert.deepEqual(names(members.put(node("a"))), ["update a/1"]);
		assert.deepEqual(names(members.snapshot([node("a")], 1000 + HOLD - 1)), ["update a/1"]);
		assert.deepEqual(names(members.snapshot([node("a")], 1000 + HOLD)), ["update a/1", "remove b/1"]);
		assert.equal(members.holdEnds, undefined);
	});

	it("does not hold a node that had announced its leave", () => {
		const members = membership();
		members.put(node("a", "1", { leaving: true }));
		members.outageBegan();
		assert.deepEqual(names(members.delete("a", "1", 0)), ["remove a/1"]);
	});

	it("does not start a hold at the first connection", () => {
		const members = membership();
		members.put(node("a"));
		members.outageEnded(0);
		assert.deepEqual(names(members.delete("a", "1", 1)), ["remove a/1"]);
	});

	it("holds after a loss of data, even without an outage", () => {
		const members = membership();
		members.put(node("a"));
		members.distrust(0);
		assert.deepEqual(names(members.snapshot([], 1)), ["hold a/1"]);
	});
});
