import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { discovererOf, greeter, metricOf, Scene, sees, suiteServers } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

describe("A node's keys in etcd", await requireServers("nats", "etcd"), () => {
	const servers = suiteServers();

	describe("of namespaces of their own", { concurrency: 4 }, () => {
		it("shows who serves what to people: one readable key per service", async context => {
			const scene = new Scene(context, servers);
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

		it("puts its keys back when somebody deletes them, and nobody loses the node (defect 5)", async context => {
			const scene = new Scene(context, servers);
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
			const scene = new Scene(context, servers);
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
			const scene = new Scene(context, servers);
			const [one, two] = await scene.start("one", "two");
			const lease = discovererOf(two).link.lease as string;

			await servers.client.leaseClient.leaseRevoke({ ID: lease });
			await until("two has a new lease", () => ![undefined, lease].includes(discovererOf(two).link.lease));
			await until("one sees two again", () => sees(one, "two"));
			assert.equal(metricOf(two, "leaseLosses.total"), 1);
			assert.equal(metricOf(two, "registrations.total"), 2);
		});

		it("keeps two namespaces of one etcd apart", async context => {
			const scene = new Scene(context, servers, "");
			const [one] = await scene.start("one");
			const other = await scene.add({
				nodeID: "other",
				services: [greeter()],
				broker: { namespace: "dev" }
			});

			assert.equal(one.registry.nodes.has("other"), false);
			assert.equal(other.registry.nodes.has("one"), false);
			assert.equal(await servers.client.getAll().prefix("moleculer-dev/nodes/other/").count(), 1);
		});

		it("skips garbage under its prefix and goes on", async context => {
			const scene = new Scene(context, servers);
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
			const scene = new Scene(context, servers);
			const [one] = await scene.start("one");
			const sleeper = await scene.spawn("sleeper", { discoverer: { endpoints: [servers.etcd.url], ttl: 30 } });
			await until("one sees the sleeper", () => sees(one, "sleeper"));

			sleeper.signal("SIGSTOP");
			await servers.etcd.stop(); // breaks the sleeper's connection, so that it must resume its watch
			await servers.etcd.start();
			await scene.start("two");
			const { header } = await servers.client.kv.range({ key: Buffer.from("any") });
			await servers.client.kv.compact({ revision: header.revision, physical: true });
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
			const scene = new Scene(context, servers);
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
