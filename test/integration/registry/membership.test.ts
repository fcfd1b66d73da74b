import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { Etcd3 } from "etcd3";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { discovererOf, etcdClient, greeter, record, Scene, SHORT_TTL, sees, until } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";

describe("Membership in the etcd registry", await requireServers("nats", "etcd"), () => {
	let servers: { nats: LocalServer; etcd: LocalServer };
	let etcd: Etcd3;

	before(async () => {
		const [nats, etcdServer] = await Promise.all([startNats(), startEtcd()]);
		servers = { nats, etcd: etcdServer };
		etcd = etcdClient(etcdServer);
	});
	after(async () => {
		etcd.close();
		await Promise.all([servers.nats.stop(), servers.etcd.stop()]);
	});

	const sceneOf = (context: TestContext, namespace?: string) => new Scene(context, servers, etcd, namespace);

	describe("of nodes in namespaces of their own", { concurrency: 4 }, () => {
		it("shows nodes that start together to each other, with one lease and one range read each", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one", "two", "three");

			assert.equal(await one.call("greeter.where", {}, { nodeID: "three" }), "three");
			for (const node of scene.nodes) {
				assert.equal(discovererOf(node).metrics.total("registrations"), 1);
				assert.equal(discovererOf(node).metrics.total("resyncs"), 1);
			}
		});

		it("shows who serves what to people: one readable key per service", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");

			const value = await scene.keys.get("services/greeter/one").json();
			assert.deepEqual(value, {
				node: "one",
				host: one.registry.nodes.localNode?.hostname,
				weight: 100,
				metadata: {}
			});
			const lease = (await scene.keys.get("services/greeter/one").exec()).kvs[0]?.lease;
			assert.equal(lease, discovererOf(one).link.lease);
		});

		it("adds a node that joins later, with moleculer's event", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const events = record(one, "$node.connected");

			await scene.start("two");
			assert.deepEqual(
				events.map(([, { reconnected }]) => reconnected),
				[false]
			);
		});

		it("shows a service as soon as it has started, so that nodes can depend on each other's services", async context => {
			const scene = sceneOf(context);
			const first = scene.make({
				nodeID: "first",
				services: [greeter({}, "base"), { ...greeter({}, "top"), dependencies: ["middle"] }]
			});
			const second = scene.make({
				nodeID: "second",
				services: [{ ...greeter({}, "middle"), dependencies: ["base"] }]
			});

			await Promise.all([first.start(), second.start()]);
			await until("the last service is seen", () => sees(second, "first", "top"));
		});

		it("removes a node that leaves from all registries, and its keys from etcd", async context => {
			const scene = sceneOf(context);
			const [one, two] = await scene.start("one", "two");
			const events = record(one, "$node.disconnected");

			await two.stop();
			await until("one has removed two", () => !sees(one, "two") && !one.registry.nodes.get("two").available);
			assert.deepEqual(
				events.map(([, { unexpected }]) => unexpected),
				[false]
			);
			assert.deepEqual(await scene.keysUnder("nodes/two"), []);
			assert.deepEqual(await scene.keysUnder("services/greeter/two"), []);
		});

		it("removes a crashed node at the end of its lease", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const two = await scene.spawn("two");
			await until("one sees two", () => sees(one, "two"));

			await two.kill();
			const took = await until("one has removed two", () => one.registry.nodes.get("two").available === false);
			context.diagnostic(`gone ${took.toFixed(0)} ms after the crash, with a TTL of ${SHORT_TTL} s`);
		});

		it("announces a service added at run time, and withdraws one that is destroyed, without moleculer's debounce", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const two = await scene.add({
				nodeID: "two",
				services: [greeter()],
				broker: { transit: { serviceChangedDebounceTime: 10_000 } as object }
			});
			await until("one sees two", () => sees(one, "two"));

			two.createService(greeter({}, "late"));
			await until("one sees the new service", () => sees(one, "two", "late"), 8000); // sooner than the debounce
			assert.ok(await scene.keys.get("services/late/two").string());

			await two.destroyService("late");
			await until("one misses the service", () => !one.registry.hasService("late", "two"));
			assert.equal(await scene.keys.get("services/late/two").string(), null);
			two.createService(greeter({}, "late"));
			await until("one sees the service again", () => sees(one, "two", "late"));
			assert.ok(sees(one, "two"), "the node itself stays");
		});

		it("keeps a restarted node when the DELETE of its old instance comes late, and rejects the old requests", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const old = await scene.spawn("two");
			await until("one sees two", () => sees(one, "two"));
			const waiting = one.call("greeter.wait", { time: 60_000 }, { nodeID: "two" });
			const rejected = assert.rejects(waiting, { type: "REQUEST_REJECTED", retryable: true });
			await old.waitForLine(/"event":"waiting"/);

			await old.kill();
			const before = one.registry.nodes.get("two").instanceID;
			await scene.spawn("two");
			await until("one knows the new instance", () => one.registry.nodes.get("two").instanceID !== before);
			await rejected;

			const lost = record(one, "$node.disconnected");
			await until("the old key is gone", async () => (await scene.keysUnder("nodes/two/")).length === 1);
			assert.equal(await one.call("greeter.where", {}, { nodeID: "two" }), "two");
			assert.deepEqual(lost, []);
		});

		it("stops the older process when two use one node id, with a message that says so (defect 6)", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const older = await scene.spawn("twin");
			await until("one sees the twin", () => sees(one, "twin"));

			await scene.spawn("twin");
			const exit = await older.exited;
			assert.equal(exit.code, 1);
			assert.match(older.output, /Another process uses the node id 'twin'.*This one stops/);
			assert.equal(await one.call("greeter.where", {}, { nodeID: "twin" }), "twin");
		});

		it("puts its keys back when somebody deletes them, and nobody loses the node (defect 5)", async context => {
			const scene = sceneOf(context);
			const [one, two] = await scene.start("one", "two");
			const lease = discovererOf(two).link.lease;

			await scene.keys.delete().prefix("nodes/two");
			await scene.keys.delete().key("services/greeter/two");
			await until("both keys are back", async () => {
				const keys = await scene.keysUnder("");
				return keys.filter(key => key.includes("/two")).length === 2;
			});
			await until("one sees two", () => sees(one, "two"));
			assert.equal(discovererOf(two).link.lease, lease, "under the same lease");
			assert.ok(sees(two, "two"), "a node never evicts itself");
		});

		it("puts its key back when somebody overwrites it, and ignores what was written", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one", "two");
			const key = (await scene.keysUnder("nodes/two"))[0] as string;
			const value = await scene.keys.get(key).buffer();

			await scene.keys.put(key).value("rubbish");
			await until(
				"the value is back",
				async () => (await scene.keys.get(key).buffer())?.equals(value as Buffer) ?? false
			);
			assert.ok(sees(one, "two"));
			assert.equal(await one.call("greeter.where", {}, { nodeID: "two" }), "two");
		});

		it("registers again under a new lease when its lease is lost", async context => {
			const scene = sceneOf(context);
			const [one, two] = await scene.start("one", "two");
			const lease = discovererOf(two).link.lease as string;

			await etcd.leaseClient.leaseRevoke({ ID: lease });
			await until("two has a new lease", () => ![undefined, lease].includes(discovererOf(two).link.lease));
			await until("one sees two again", () => sees(one, "two"));
			assert.equal(discovererOf(two).metrics.total("leaseLosses"), 1);
			assert.equal(discovererOf(two).metrics.total("registrations"), 2);
		});

		it("keeps two namespaces of one etcd apart", async context => {
			const scene = sceneOf(context, "");
			const [one] = await scene.start("one");
			const other = await scene.add({
				nodeID: "other",
				services: [greeter()],
				broker: { namespace: "dev" }
			});

			assert.equal(one.registry.nodes.has("other"), false);
			assert.equal(other.registry.nodes.has("one"), false);
			assert.equal(await etcd.getAll().prefix("moleculer-dev/nodes/other/").count(), 1);
		});

		it("skips garbage under its prefix and goes on", async context => {
			const scene = sceneOf(context);
			await scene.keys.put("nodes/zombie/1").value("{ no json");
			await scene.keys.put("nodes/list/1").value("[]");
			await scene.keys.put("nodes/liar/1").value('{"nodeID":"two","instanceID":"1","info":{"services":[]}}');
			await scene.keys.put("nodes/gzip/1").value(Buffer.from([0x1f, 0x8b, 1, 2, 3]));
			const broken = { services: [{ name: "x", fullName: "x", actions: { "x.y": null } }], seq: 1 };
			await scene.keys.put("nodes/odd/1").value(JSON.stringify({ nodeID: "odd", instanceID: "1", info: broken }));
			await scene.keys.put("nodes/%E0%A4%A/1").value("{}");
			await scene.keys.put("services/greeter/one").value('{"weight":"heavy"}');
			await scene.keys.put("what").value("?");
			const [one] = await scene.start("one");
			await scene.keys.put("nodes/later/1").value("null");

			await scene.start("two");
			await scene.keys.put("nodes/odder/1").value(
				JSON.stringify({
					nodeID: "odder",
					instanceID: "1",
					info: { services: [{ name: "x", actions: 5, events: { a: 1 } }] }
				})
			);
			await scene.start("three");
			const known = one.registry.nodes.toArray().map(node => node.id);
			for (const id of ["one", "two", "three"]) assert.ok(known.includes(id));
			for (const id of ["zombie", "list", "liar", "gzip"]) assert.ok(!known.includes(id));
		});
	});

	describe("while nobody else uses the servers", () => {
		it("reads all keys again when etcd has compacted the history it still needed", async context => {
			const scene = sceneOf(context);
			const [one] = await scene.start("one");
			const sleeper = await scene.spawn("sleeper", { discoverer: { endpoints: [servers.etcd.url], ttl: 30 } });
			await until("one sees the sleeper", () => sees(one, "sleeper"));

			sleeper.signal("SIGSTOP");
			await servers.etcd.stop(); // breaks the sleeper's connection, so that it must resume its watch
			await servers.etcd.start();
			await scene.start("two");
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

		it("writes and reads nothing in etcd while nothing changes", async context => {
			const scene = sceneOf(context);
			await scene.start("one", "two", "three");
			const before = await operations();
			const renewed = await renewals();
			await until("some renewals have passed", async () => (await renewals()) >= renewed + 6);
			assert.deepEqual(await operations(), before);
		});
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
