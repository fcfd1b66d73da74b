import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import {
	discovererOf,
	etcdClient,
	greeter,
	Load,
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

const HOLD = (SHORT_TTL + 1) * 1000;

describe("An etcd outage", await requireServers("nats", "etcd"), () => {
	const cleanups: (() => Promise<unknown>)[] = [];
	afterEach(async () => {
		for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
	});

	async function cluster(...ids: string[]) {
		const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
		cleanups.push(() => Promise.all([nats.stop(), etcd.kill()]));
		const servers = { nats, etcd };
		const start = async (nodeID: string): Promise<ServiceBroker> => {
			const node = await startNode(servers, { nodeID, services: [greeter()], discoverer: { holdMargin: 1 } });
			cleanups.push(() => stopNodes(node));
			return node;
		};
		const nodes = await Promise.all(ids.map(start));
		for (const node of nodes) await until("all see all", () => ids.every(id => sees(node, id)));
		return { servers, nats, etcd, nodes, start, one: nodes[0] as ServiceBroker, two: nodes[1] as ServiceBroker };
	}

	it("longer than the lease, by a stopped etcd, evicts nobody and fails no call (defect 2)", async () => {
		const { etcd, one } = await cluster("one", "two", "three");
		const lost = record(one, "$node.disconnected");
		const load = new Load(one);

		await etcd.stop();
		await delay((SHORT_TTL + 1) * 1000);
		await etcd.start();
		await until("one is connected to etcd again", () => discovererOf(one).link.endpoint !== undefined);
		await delay(HOLD);
		await load.stop();

		assert.deepEqual(load.failures, []);
		assert.deepEqual(lost, []);
		assert.deepEqual([...load.nodes.keys()].sort(), ["one", "three", "two"]);
		assert.equal(discovererOf(one).metrics.total("outages"), 1);
	});

	it("by a frozen etcd, with all leases expired at once, holds everybody until they are back", async () => {
		const { etcd, one, nodes } = await cluster("one", "two", "three");
		const lost = record(one, "$node.disconnected");
		const load = new Load(one);

		etcd.pause();
		await delay(3 * SHORT_TTL * 1000);
		etcd.resume();
		for (const node of nodes) {
			await until("all are registered again", () => discovererOf(node).metrics.total("registrations") === 2);
		}
		await delay(HOLD);
		await load.stop();

		assert.deepEqual(load.failures, []);
		assert.deepEqual(lost, []);
		assert.equal(discovererOf(one).cluster.membership.heldCount, 0);
	});

	it("with loss of all data evicts nobody, and everybody registers again", async () => {
		const { etcd, one, nodes } = await cluster("one", "two", "three");
		const client = etcdClient(etcd);
		cleanups.push(async () => client.close());
		for (let i = 0; i < 10; i++) await client.put("elsewhere").value(i); // a revision that the new etcd is below
		const lost = record(one, "$node.disconnected");
		const load = new Load(one);

		await etcd.kill();
		await etcd.wipe();
		await etcd.start();
		await until("all keys are back", async () => {
			const keys = await client.getAll().prefix("moleculer/nodes/").keys();
			return keys.length === nodes.length;
		});
		await delay(HOLD);
		await load.stop();

		assert.deepEqual(load.failures, []);
		assert.deepEqual(lost, []);
		for (const node of nodes) assert.ok(["one", "two", "three"].every(id => sees(node, id)));
	});

	it("during which a node crashed removes that node, and no other, once the hold is over", async () => {
		const { servers, etcd, one } = await cluster("one", "two");
		const victim = await spawnRegistryNode(servers, "victim");
		await until("one sees the victim", () => sees(one, "victim"));

		await etcd.stop();
		await victim.kill();
		await delay(100);
		await etcd.start();
		await until("the victim is removed", () => discovererOf(one).cluster.membership.get("victim") === undefined);
		assert.ok(sees(one, "two"));
	});

	it("does not keep a service added meanwhile from being published afterwards (defect 4)", async () => {
		const { etcd, one, two } = await cluster("one", "two");

		await etcd.stop();
		await until("two knows", () => discovererOf(two).link.endpoint === undefined);
		two.createService({ ...greeter({}, "late"), mixins: [] });
		await delay(500);
		await etcd.start();
		await until("one sees the service", () => sees(one, "two", "late"));
		assert.ok(sees(one, "two"));
	});

	it("at the start of a node delays it, over one NATS connection, and each call runs once (defect 3)", async () => {
		const { nats, etcd, servers, one } = await cluster("one");
		await etcd.stop();
		let executed = 0;
		const late = makeNode(servers, {
			nodeID: "late",
			discoverer: { startTimeout: 300 },
			services: [greeter(), { name: "counter", actions: { where: () => "late", count: () => ++executed } }]
		});
		cleanups.push(() => stopNodes(late));
		let started = false;
		const starting = late.start().then(() => {
			started = true;
		});

		await delay(6000); // the built-in discoverer opens another connection after 5 s
		assert.equal(started, false, "the registration mixin waits for etcd");
		await etcd.start();
		await starting;
		await until("one sees the late node", () => sees(one, "late", "counter"));
		assert.equal(await one.call("counter.count"), 1);
		assert.equal(executed, 1);
		assert.equal(late.transit?.tx.connected, true);
		assert.ok(nats.running);
	});

	it("never blocks the stop of a node", async () => {
		const { etcd, one, two } = await cluster("one", "two");
		etcd.pause();

		const start = performance.now();
		await two.stop();
		const took = performance.now() - start;
		assert.ok(took < 4000, `stopped after ${took} ms`);
		assert.ok(one);
	});

	it("does not block the event loop or hammer etcd, however long it lasts (defect 1)", async () => {
		const { etcd, one } = await cluster("one");
		const errors = record(one, "$discoverer.error");
		await etcd.stop();

		const start = performance.eventLoopUtilization();
		await delay(4000);
		const { utilization } = performance.eventLoopUtilization(start);
		assert.ok(errors.length >= 2, "it keeps trying");
		assert.ok(errors.length < 40, `${errors.length} attempts in 4 s`);
		assert.ok(utilization < 0.5, `the event loop was busy for ${utilization} of the time`);
		const [, report] = errors[0] as [string, Record<string, unknown>];
		assert.equal(report.module, "discoverer");
		assert.ok(report.error instanceof Error);
		await etcd.start();
	});
});
