import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import {
	decodeNode,
	decodeService,
	encodeNode,
	encodeService,
	KeyLayout,
	serviceKeyName
} from "../../../mixins/etcd-registry/keys.ts";

describe("The registry's keys", () => {
	it("come back as what they were built from, whatever characters the ids have", () => {
		const keys = new KeyLayout("moleculer", "");
		for (const id of ["node-1", "a/b", "ä ö", "100%", "..", "$node", "host.example:8080"]) {
			assert.deepEqual(keys.parse(keys.node(id, "i/1")), { kind: "node", nodeID: id, instanceID: "i/1" });
			assert.deepEqual(keys.parse(keys.service("v.1", id)), { kind: "service", service: "v.1", nodeID: id });
		}
	});

	it("are none of ours outside the prefix or with another shape", () => {
		const keys = new KeyLayout("moleculer", "dev");
		for (const key of [
			"moleculer/nodes/a/1",
			"moleculer-dev/nodes/a",
			"moleculer-dev/nodes/a/1/2",
			"moleculer-dev/nodes//1",
			"moleculer-dev/nodes/%zz/1",
			"moleculer-dev/other/a/1",
			"moleculer-dev/",
			""
		]) {
			assert.equal(keys.parse(key), undefined, key);
		}
	});

	it("of two namespaces have different prefixes, neither of them the beginning of the other", () => {
		const roots = ["", "dev", "dev/a", "develop"].map(namespace => new KeyLayout("moleculer", namespace).root);
		for (const one of roots) {
			assert.deepEqual(
				roots.filter(other => other.startsWith(one)),
				[one]
			);
		}
	});

	for (const [name, version, expected] of [
		["note", undefined, "note"],
		["note", null, "note"],
		["note", "", "note"],
		["note", 2, "note.v2"],
		["note", "beta", "note.beta"]
	] as const) {
		it(`name service ${name} of version ${JSON.stringify(version)} as ${expected}`, () => {
			assert.equal(serviceKeyName(name, version), expected);
		});
	}
});

describe("A node's value", () => {
	const record = {
		nodeID: "a",
		instanceID: "1",
		born: 5,
		startedAt: 6,
		leaving: false,
		info: { services: [{ name: "note" }], seq: 3, hostname: "x".repeat(2000) }
	};

	it("survives encoding, plain and gzipped, and is gzipped from the given size on", () => {
		const [plain, gzipped] = [encodeNode(record, 100_000), encodeNode(record, 1024)];
		assert.equal(plain[0], "{".charCodeAt(0));
		assert.ok(gzipped.length < plain.length / 5);
		assert.deepEqual(decodeNode(plain, "a", "1"), record);
		assert.deepEqual(decodeNode(gzipped, "a", "1"), record);
	});

	for (const [title, value] of [
		["empty", ""],
		["no JSON", "{"],
		["a list", "[]"],
		["null", "null"],
		["of another node", JSON.stringify({ ...record, nodeID: "b" })],
		["of another instance", JSON.stringify({ ...record, instanceID: "2" })],
		["without info", JSON.stringify({ ...record, info: undefined })],
		["without services", JSON.stringify({ ...record, info: {} })],
		["with a service that is text", JSON.stringify({ ...record, info: { services: ["note"] } })],
		["no gzip", Buffer.from([0x1f, 0x8b, 0, 0])],
		["gzipped rubbish", gzipSync("rubbish")],
		["a gzip bomb", gzipSync(Buffer.alloc(32 * 1024 * 1024))]
	] as const) {
		it(`is refused when it is ${title}`, () => {
			assert.throws(() => decodeNode(Buffer.from(value), "a", "1"));
		});
	}
});

describe("A service's value", () => {
	it("survives encoding", () => {
		const record = { node: "a", host: "h", port: 1, version: 2, weight: 0.5, metadata: { zone: "b" } };
		assert.deepEqual(decodeService(encodeService(record)), record);
	});

	it("needs nothing but a weight", () => {
		assert.deepEqual(decodeService(Buffer.from('{"weight":3}')), { node: "", host: "", weight: 3, metadata: {} });
	});

	for (const weight of ["-1", '"3"', "null", "1e999", "{}"]) {
		it(`is refused with the weight ${weight}`, () => {
			assert.throws(() => decodeService(Buffer.from(`{"weight":${weight}}`)), /weight/);
		});
	}
});
