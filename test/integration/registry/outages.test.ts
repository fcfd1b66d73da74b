import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { ServiceBroker } from "moleculer";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { freePort } from "../../support/processes.ts";
import {
	discovererOf,
	etcdClient,
	greeter,
	Load,
	makeNode,
	metricOf,
	record,
	SHORT_TTL,
	sees,
	spawnRegistryNode,
	startNode,
	stopNodes
} from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const run = promisify(execFile);
const HOLD = (SHORT_TTL + 1) * 1000;

async function etcdctl(...args: string[]): Promise<void> {
	await run("etcdctl", args, { env: { PATH: process.env.PATH, ETCDCTL_API: "3" } });
}

type Cleanup = () => unknown;

/** Servers and nodes for one test; `defer` adds to what is undone at its end, in reverse order. */
async function mesh(context: TestContext, ...ids: string[]) {
	const cleanups: Cleanup[] = [];
	const defer = (cleanup: Cleanup): void => {
		cleanups.push(cleanup);
	};
	context.after(async () => {
		for (const cleanup of cleanups.reverse()) await cleanup();
	});
	const peerPort = await freePort();
	const monitorPort = await freePort();
	const args = ["--http_port", String(monitorPort)];
	const [nats, etcd] = await Promise.all([startNats({ args }), startEtcd({ peerPort })]);
	defer(() => Promise.all([nats.stop(), etcd.kill()]));
	const servers = { nats, etcd };
	const start = async (nodeID: string): Promise<ServiceBroker> => {
		const node = await startNode(servers, { nodeID, services: [greeter()], discoverer: { holdMargin: 1 } });
		defer(() => stopNodes(node));
		return node;
	};
	const natsConnections = async (): Promise<number> => {
		const response = await fetch(`http://127.0.0.1:${monitorPort}/connz`);
		return ((await response.json()) as { num_connections: number }).num_connections;
	};
	const nodes = await Promise.all(ids.map(start));
	for (const node of nodes) await until("all see all", () => ids.every(id => sees(node, id)));
	return {
		defer,
		peerPort,
		natsConnections,
		servers,
		nats,
		etcd,
		nodes,
		start,
		one: nodes[0] as ServiceBroker,
		two: nodes[1] as ServiceBroker
	};
}

const { skip } = await requireServers("nats", "etcd", "etcdctl");

// Each test has its own servers, and mostly waits.
describe("An etcd outage", { skip, concurrency: true }, () => {
	it("longer than the lease, by a stopped etcd, evicts nobody and fails no call (defect 2)", async context => {
		const { etcd, one } = await mesh(context, "one", "two", "three");
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
		assert.equal(metricOf(one, "outages.total"), 1);
	});

	it("by a frozen etcd, with all leases expired at once, holds everybody until they are back", async context => {
		const { etcd, one, nodes } = await mesh(context, "one", "two", "three");
		const lost = record(one, "$node.disconnected");
		const heard = record(
			one,
			"$discoverer.disconnected",
			"$discoverer.connected",
			"$discoverer.leaseLost",
			"$node.held"
		);
		const load = new Load(one);

		etcd.pause();
		await delay(3 * SHORT_TTL * 1000);
		etcd.resume();
		for (const node of nodes) {
			await until("all are registered again", () => metricOf(node, "registrations.total") === 2);
		}
		await delay(HOLD);
		await load.stop();

		assert.deepEqual(load.failures, []);
		assert.deepEqual(lost, []);
		assert.equal(discovererOf(one).mesh.membership.heldCount, 0);
		const names = new Set(heard.map(([name]) => name));
		for (const name of ["$discoverer.disconnected", "$discoverer.connected", "$discoverer.leaseLost"]) {
			assert.ok(names.has(name), `${name} was announced`);
		}
	});

	it("with loss of all data evicts nobody, and everybody registers again", async context => {
		const { defer, etcd, one, nodes } = await mesh(context, "one", "two", "three");
		const client = etcdClient(etcd);
		defer(() => client.close());
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

	it("that ends with a restored backup, so that the revision goes back, is noticed and overcome", async context => {
		const { defer, etcd, peerPort, one, start } = await mesh(context, "one", "two");
		const client = etcdClient(etcd);
		defer(() => client.close());
		const backup = join(temporaryFolder("backup"), "etcd.db");
		const peers = `http://127.0.0.1:${peerPort}`;
		await etcdctl("--endpoints", etcd.url, "snapshot", "save", backup);
		await start("three");
		for (let i = 0; i < 10; i++) await client.put("elsewhere").value(i);
		const lost = record(one, "$node.disconnected");

		await etcd.kill();
		await etcd.wipe();
		await etcdctl(
			"snapshot",
			"restore",
			backup,
			"--data-dir",
			etcd.dataDir,
			"--name",
			"etcd",
			"--initial-cluster",
			`etcd=${peers}`,
			"--initial-advertise-peer-urls",
			peers
		);
		await etcd.start();
		await until("three has registered again", async () => {
			return (await client.getAll().prefix("moleculer/nodes/three/").keys()).length === 1;
		});
		await start("four");
		await until("the watch works: one sees four", () => sees(one, "four"));
		assert.ok(sees(one, "three"));
		assert.deepEqual(lost, []);
	});

	it("during which a node crashed removes that node, and no other, once the hold is over", async context => {
		const { servers, etcd, one } = await mesh(context, "one", "two");
		const victim = await spawnRegistryNode(servers, "victim");
		await until("one sees the victim", () => sees(one, "victim"));

		await etcd.stop();
		await victim.kill();
		await delay(100);
		await etcd.start();
		await until("the victim is removed", () => discovererOf(one).mesh.membership.get("victim") === undefined);
		assert.ok(sees(one, "two"));
	});

	it("does not keep a service added meanwhile from being published afterwards (defect 4)", async context => {
		const { etcd, one, two } = await mesh(context, "one", "two");

		await etcd.stop();
		await until("two knows", () => discovererOf(two).link.endpoint === undefined);
		two.createService({ ...greeter({}, "late"), mixins: [] });
		await delay(500);
		await etcd.start();
		await until("one sees the service", () => sees(one, "two", "late"));
		assert.ok(sees(one, "two"));
	});

	it("at the start of a node delays it, over one NATS connection, and each call runs once (defect 3)", async context => {
		const { defer, natsConnections, etcd, servers, one } = await mesh(context, "one");
		await etcd.stop();
		let executed = 0;
		const late = makeNode(servers, {
			nodeID: "late",
			discoverer: { startTimeout: 300 },
			services: [greeter(), { name: "counter", actions: { where: () => "late", count: () => ++executed } }]
		});
		defer(() => stopNodes(late));
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
		assert.equal(await natsConnections(), 2, "one of each node");
	});

	it("does not keep a node that was restarted meanwhile from being called", async context => {
		const { defer, servers, etcd, one } = await mesh(context, "one");
		const restarted = async (): Promise<ServiceBroker> => {
			const services = [{ ...greeter({}, "plain"), mixins: [] }];
			const node = await startNode(servers, { nodeID: "two", services, discoverer: { startTimeout: 300 } });
			defer(() => stopNodes(node));
			return node;
		};
		const two = await restarted();
		await until("one sees two", () => sees(one, "two", "plain"));

		await etcd.stop();
		await stopNodes(two);
		await restarted();
		assert.equal(await one.call("plain.where", {}, { nodeID: "two" }), "two");
	});

	it("never blocks the stop of a node", async context => {
		const { etcd, one, two } = await mesh(context, "one", "two");
		etcd.pause();

		await two.stop(); // etcd stays frozen all the time
		assert.equal(two.transit?.tx.connected, false);
		assert.ok(one.started);
	});
});

describe("A long etcd outage", { skip }, () => {
	it("does not block the event loop or hammer etcd, however long it lasts (defect 1)", async context => {
		const { etcd, one } = await mesh(context, "one");
		const errors = record(one, "$discoverer.error");
		await etcd.stop();

		const wall = performance.now();
		const start = process.cpuUsage();
		await delay(3000);
		const { user, system } = process.cpuUsage(start);
		const busy = (user + system) / 1000 / (performance.now() - wall);
		assert.ok(errors.length >= 2, "it keeps trying");
		assert.ok(errors.length < 30, `${errors.length} attempts in 3 s`);
		assert.ok(busy < 0.5, `the process was busy for ${busy} of the time`);
		const [, report] = errors[0] as [string, Record<string, unknown>];
		assert.equal(report.module, "discoverer");
		assert.ok(report.error instanceof Error);
		await etcd.start();
	});
});
