import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { it, type TestContext } from "node:test";
import { EtcdConnection } from "../../../mixins/etcd-registry/client.ts";
import { EtcdLink, type LinkListener } from "../../../mixins/etcd-registry/link.ts";
import { resolveOptions } from "../../../mixins/etcd-registry/options.ts";
import { until } from "../../support/until.ts";

it("who waits for an etcd that is away is let go when the link is closed", { timeout: 20_000 }, async () => {
	let failures = 0;
	const nothing = () => {};
	const link = new EtcdLink(resolveOptions({ endpoints: ["http://127.0.0.1:1"] }), "moleculer/", {
		snapshot: nothing,
		events: nothing,
		up: nothing,
		leaseGranted: nothing,
		leaseLost: nothing,
		down: () => void failures++
	});
	link.start();
	link.change([["moleculer/nodes/one", Buffer.from("{}")]]);
	let isSettled = false;
	const settled = link.settled().then(() => {
		isSettled = true;
	});
	await until("it was tried", () => failures > 0);
	assert.equal(isSettled, false);
	await link.close();
	await settled;
	// Nor does anybody wait who comes later.
	await link.settled();
});

/** A link to an etcd that grants a lease and then says only what a test lets it; `revoked` is what it answers at the end. */
function linked(t: TestContext, { revoked, leaveTimeout }: { revoked: Promise<void>; leaveTimeout: number }) {
	const watches: EventEmitter[] = [];
	const revokes: string[] = [];
	let revision = 10;
	const stream = () => Object.assign(new EventEmitter(), { write() {}, cancel() {} });
	const connection = {
		grant: async () => "lease 1",
		keepAlive: async () => stream(),
		readAll: async () => ({ entries: [], revision }),
		async watch() {
			const watch = stream();
			watches.push(watch);
			return watch;
		},
		revoke(lease: string) {
			revokes.push(lease);
			return revoked;
		},
		close() {}
	};
	t.mock.method(EtcdConnection, "open", async () => connection);
	const snapshots: Parameters<LinkListener["snapshot"]>[1][] = [];
	let ups = 0;
	const nothing = () => {};
	const link = new EtcdLink(resolveOptions({ endpoints: ["http://127.0.0.1:1"], leaveTimeout }), "moleculer/", {
		events: nothing,
		down: nothing,
		leaseGranted: nothing,
		leaseLost: nothing,
		snapshot: (_entries, reason) => void snapshots.push(reason),
		up: () => void ups++
	});
	t.after(() => link.close());
	link.start();
	/** What etcd says over a watch that it is asked for, the first or a later one. */
	const say = async (index: number, message: object, revision: number) => {
		await until(`watch ${index}`, () => (watches[index]?.listenerCount("data") ?? 0) > 0);
		watches[index]?.emit("data", {
			header: { revision: String(revision) },
			events: [],
			compact_revision: "0",
			...message
		});
	};
	return {
		link,
		snapshots,
		revokes,
		say,
		ups: () => ups,
		restore(to: number) {
			revision = to;
		}
	};
}

it("a link that is closed waits for an etcd that hangs no longer than it may", { timeout: 20_000 }, async t => {
	const { promise, resolve } = Promise.withResolvers<void>();
	const { link, revokes, say, ups } = linked(t, { revoked: promise, leaveTimeout: 20 });
	await say(0, { created: true }, 10);
	await until("it is up", () => ups() === 1 && link.lease !== undefined);
	let isClosed = false;
	const closed = link.close().then(() => {
		isClosed = true;
	});
	await until("it is closed", () => isClosed, 5_000).finally(resolve);
	await closed;
	assert.deepEqual(revokes, ["lease 1"]);
});

it("a link says of each reading whether etcd has lost data, or merely its history", { timeout: 20_000 }, async t => {
	const { snapshots, say, restore } = linked(t, { revoked: Promise.resolve(), leaveTimeout: 1_000 });
	await say(0, { canceled: true, created: true, compact_revision: "12" }, 10);
	await until("it was read again", () => snapshots.length === 2);
	restore(4);
	await say(1, { created: true }, 4);
	await say(2, { canceled: true, created: true, compact_revision: "7" }, 4);
	await until("all are read", () => snapshots.length === 4);
	assert.deepEqual(snapshots, [
		{ revision: 10, dataLost: false, first: true },
		{ revision: 10, dataLost: false, first: false },
		{ revision: 4, dataLost: true, first: false },
		{ revision: 4, dataLost: false, first: false }
	]);
});
