import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { Etcd3 } from "etcd3";
import type { ServiceBroker } from "moleculer";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import type { NodeProcess } from "../../support/processes.ts";
import {
	discovererOf,
	etcdClient,
	greeter,
	makeNode,
	record,
	SHORT_TTL,
	sees,
	spawnRegistryNode,
	startNode,
	stopNodes,
	until
} from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";

describe("Membership in the etcd registry", await requireServers("nats", "etcd"), () => {
	let servers: { nats: LocalServer; etcd: LocalServer };
	let etcd: Etcd3;
	let nodes: ServiceBroker[] = [];
	let processes: NodeProcess[] = [];

	before(async () => {
		const [nats, etcdServer] = await Promise.all([startNats(), startEtcd()]);
		servers = { nats, etcd: etcdServer };
		etcd = etcdClient(etcdServer);
	});
	after(async () => {
		etcd.close();
		await Promise.all([servers.nats.stop(), servers.etcd.stop()]);
	});
	afterEach(async () => {
		await Promise.all([stopNodes(...nodes), ...processes.map(node => node.kill())]);
		nodes = [];
		processes = [];
		await etcd.delete().all();
	});

	async function start<Ids extends string[]>(...ids: Ids): Promise<{ [Index in keyof Ids]: ServiceBroker }> {
		const started = await Promise.all(ids.map(nodeID => startNode(servers, { nodeID, services: [greeter()] })));
		nodes.push(...started);
		for (const observer of nodes) {
			await until("all nodes see all", () => nodes.every(node => sees(observer, node.nodeID)));
		}
		return started as { [Index in keyof Ids]: ServiceBroker };
	}

	async function spawn(nodeID: string, options?: Parameters<typeof spawnRegistryNode>[2]): Promise<NodeProcess> {
		const node = await spawnRegistryNode(servers, nodeID, options);
		processes.push(node);
		return node;
	}

	async function keysUnder(prefix: string): Promise<string[]> {
		return Object.keys(await etcd.getAll().prefix(prefix).strings());
	}

	it("shows nodes that start together to each other, with one lease and one range read each", async () => {
		const [one] = await start("one", "two", "three");

		assert.equal(await one.call("greeter.where", {}, { nodeID: "three" }), "three");
		for (const node of nodes) {
			assert.equal(discovererOf(node).metrics.total("registrations"), 1);
			assert.equal(discovererOf(node).metrics.total("resyncs"), 1);
		}
	});

	it("shows who serves what to people: one readable key per service", async () => {
		const [one] = await start("one");

		const value = await etcd.get("moleculer/services/greeter/one").json();
		assert.deepEqual(value, {
			node: "one",
			host: one.registry.nodes.localNode?.hostname,
			weight: 100,
			metadata: {}
		});
		const lease = (await etcd.get("moleculer/services/greeter/one").exec()).kvs[0]?.lease;
		assert.equal(lease, discovererOf(one).link.lease);
	});

	it("adds a node that joins later, with moleculer's event", async () => {
		const [one] = await start("one");
		const events = record(one, "$node.connected");

		await start("two");
		assert.deepEqual(
			events.map(([, { reconnected }]) => reconnected),
			[false]
		);
	});

	it("shows a service as soon as it has started, so that nodes can depend on each other's services", async () => {
		const first = makeNode(servers, {
			nodeID: "first",
			services: [greeter({}, "base"), { ...greeter({}, "top"), dependencies: ["middle"] }]
		});
		const second = makeNode(servers, {
			nodeID: "second",
			services: [{ ...greeter({}, "middle"), dependencies: ["base"] }]
		});
		nodes.push(first, second);

		await Promise.all([first.start(), second.start()]);
		await until("the last service is seen", () => sees(second, "first", "top"));
	});

	it("removes a node that leaves from all registries, and its keys from etcd", async () => {
		const [one, two] = await start("one", "two");
		const events = record(one, "$node.disconnected");

		await two.stop();
		await until("one has removed two", () => !sees(one, "two") && !one.registry.nodes.get("two").available);
		assert.deepEqual(
			events.map(([, { unexpected }]) => unexpected),
			[false]
		);
		assert.deepEqual(await keysUnder("moleculer/nodes/two"), []);
		assert.deepEqual(await keysUnder("moleculer/services/greeter/two"), []);
	});

	it("removes a crashed node at the end of its lease", async context => {
		const [one] = await start("one");
		const two = await spawn("two");
		await until("one sees two", () => sees(one, "two"));

		await two.kill();
		const took = await until("one has removed two", () => one.registry.nodes.get("two").available === false);
		context.diagnostic(`gone ${took.toFixed(0)} ms after the crash, with a TTL of ${SHORT_TTL} s`);
	});

	it("announces a service added at run time, and withdraws one that is destroyed, without moleculer's debounce", async () => {
		const [one] = await start("one");
		const two = await startNode(servers, {
			nodeID: "two",
			services: [greeter()],
			broker: { transit: { serviceChangedDebounceTime: 10_000 } as object }
		});
		nodes.push(two);
		await until("one sees two", () => sees(one, "two"));

		two.createService(greeter({}, "late"));
		await until("one sees the new service", () => sees(one, "two", "late"), 8000); // sooner than the debounce
		assert.ok(await etcd.get("moleculer/services/late/two").string());

		await two.destroyService("late");
		await until("one misses the service", () => !one.registry.hasService("late", "two"));
		assert.equal(await etcd.get("moleculer/services/late/two").string(), null);
		two.createService(greeter({}, "late"));
		await until("one sees the service again", () => sees(one, "two", "late"));
		assert.ok(sees(one, "two"), "the node itself stays");
	});

	it("keeps a restarted node when the DELETE of its old instance comes late, and rejects the old requests", async () => {
		const [one] = await start("one");
		const old = await spawn("two");
		await until("one sees two", () => sees(one, "two"));
		const waiting = one.call("greeter.wait", { time: 60_000 }, { nodeID: "two" });
		const rejected = assert.rejects(waiting, { type: "REQUEST_REJECTED", retryable: true });
		await old.waitForLine(/"event":"waiting"/);

		await old.kill();
		const before = one.registry.nodes.get("two").instanceID;
		await spawn("two");
		await until("one knows the new instance", () => one.registry.nodes.get("two").instanceID !== before);
		await rejected;

		const lost = record(one, "$node.disconnected");
		await until("the old key is gone", async () => (await keysUnder("moleculer/nodes/two/")).length === 1);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "two" }), "two");
		assert.deepEqual(lost, []);
	});

	it("stops the older process when two use one node id, with a message that says so (defect 6)", async () => {
		const [one] = await start("one");
		const older = await spawn("twin");
		await until("one sees the twin", () => sees(one, "twin"));

		await spawn("twin");
		const exit = await older.exited;
		assert.equal(exit.code, 1);
		assert.match(older.output, /Another process uses the node id 'twin'.*This one stops/);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "twin" }), "twin");
	});

	it("puts its keys back when somebody deletes them, and nobody loses the node (defect 5)", async () => {
		const [one, two] = await start("one", "two");
		const lease = discovererOf(two).link.lease;

		await etcd.delete().prefix("moleculer/nodes/two");
		await etcd.delete().key("moleculer/services/greeter/two");
		await until("both keys are back", async () => {
			const keys = await keysUnder("moleculer/");
			return keys.filter(key => key.includes("/two")).length === 2;
		});
		await until("one sees two", () => sees(one, "two"));
		assert.equal(discovererOf(two).link.lease, lease, "under the same lease");
		assert.ok(sees(two, "two"), "a node never evicts itself");
	});

	it("puts its key back when somebody overwrites it, and ignores what was written", async () => {
		const [one] = await start("one", "two");
		const key = (await keysUnder("moleculer/nodes/two"))[0] as string;
		const value = await etcd.get(key).buffer();

		await etcd.put(key).value("rubbish");
		await until("the value is back", async () => (await etcd.get(key).buffer())?.equals(value as Buffer) ?? false);
		assert.ok(sees(one, "two"));
		assert.equal(await one.call("greeter.where", {}, { nodeID: "two" }), "two");
	});

	it("registers again under a new lease when its lease is lost", async () => {
		const [one, two] = await start("one", "two");
		const lease = discovererOf(two).link.lease as string;

		await etcd.leaseClient.leaseRevoke({ ID: lease });
		await until("two has a new lease", () => ![undefined, lease].includes(discovererOf(two).link.lease));
		await until("one sees two again", () => sees(one, "two"));
		assert.equal(discovererOf(two).metrics.total("leaseLosses"), 1);
		assert.equal(discovererOf(two).metrics.total("registrations"), 2);
	});

	it("reads all keys again when etcd has compacted the history it still needed", async () => {
		const [one] = await start("one");
		const sleeper = await spawn("sleeper", { discoverer: { endpoints: [servers.etcd.url], ttl: 30 } });
		await until("one sees the sleeper", () => sees(one, "sleeper"));

		sleeper.signal("SIGSTOP");
		await servers.etcd.stop(); // breaks the sleeper's connection, so that it must resume its watch
		await servers.etcd.start();
		await start("two");
		const { header } = await etcd.kv.range({ key: Buffer.from("any") });
		await etcd.kv.compact({ revision: header.revision, physical: true });
		sleeper.signal("SIGCONT");

		await until("the sleeper knows two", async () => {
			const nodes = await one.call<{ id: string; available: boolean }[], object>(
				"$node.list",
				{},
				{ nodeID: "sleeper" }
			);
			return nodes.some(({ id, available }) => id === "two" && available);
		});
	});

	it("keeps two namespaces of one etcd apart", async () => {
		const [one] = await start("one");
		const other = await startNode(servers, {
			nodeID: "other",
			services: [greeter()],
			broker: { namespace: "dev" }
		});
		nodes.push(other);

		assert.equal(one.registry.nodes.has("other"), false);
		assert.equal(other.registry.nodes.has("one"), false);
		assert.equal((await keysUnder("moleculer-dev/nodes/other/")).length, 1);
	});

	it("skips garbage under its prefix and goes on", async () => {
		await etcd.put("moleculer/nodes/zombie/1").value("{ no json");
		await etcd.put("moleculer/nodes/list/1").value("[]");
		await etcd.put("moleculer/nodes/liar/1").value('{"nodeID":"two","instanceID":"1","info":{"services":[]}}');
		await etcd.put("moleculer/nodes/gzip/1").value(Buffer.from([0x1f, 0x8b, 1, 2, 3]));
		const broken = { services: [{ name: "x", fullName: "x", actions: { "x.y": null } }], seq: 1 };
		await etcd.put("moleculer/nodes/odd/1").value(JSON.stringify({ nodeID: "odd", instanceID: "1", info: broken }));
		await etcd.put("moleculer/nodes/%E0%A4%A/1").value("{}");
		await etcd.put("moleculer/services/greeter/one").value('{"weight":"heavy"}');
		await etcd.put("moleculer/what").value("?");
		const [one] = await start("one");
		await etcd.put("moleculer/nodes/later/1").value("null");

		await start("two");
		await etcd.put("moleculer/nodes/odder/1").value(
			JSON.stringify({
				nodeID: "odder",
				instanceID: "1",
				info: { services: [{ name: "x", actions: 5, events: { a: 1 } }] }
			})
		);
		await start("three");
		const known = one.registry.nodes.toArray().map(node => node.id);
		for (const id of ["one", "two", "three"]) assert.ok(known.includes(id));
		for (const id of ["zombie", "list", "liar", "gzip"]) assert.ok(!known.includes(id));
	});

	it("writes and reads nothing in etcd while nothing changes", async () => {
		await start("one", "two", "three");
		const before = await operations();
		const renewed = await renewals();
		await until("some renewals have passed", async () => (await renewals()) >= renewed + 6);
		assert.deepEqual(await operations(), before);
	});

	async function metric(name: string): Promise<number> {
		const url = new URL("/metrics", servers.etcd.url);
		const text = await (await fetch(url)).text();
		const lines = text.split("\n").filter(line => line.startsWith(name));
		return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
	}

	async function operations(): Promise<Record<string, number>> {
		const names = ["etcd_debugging_mvcc_put_total", "etcd_debugging_mvcc_range_total", "etcd_mvcc_delete_total"];
		return Object.fromEntries(await Promise.all(names.map(async name => [name, await metric(name)])));
	}

	async function renewals(): Promise<number> {
		return metric('grpc_server_msg_received_total{grpc_method="LeaseKeepAlive"');
	}
});
