import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import { RegistryMixin } from "../../../mixins/etcd-registry/index.ts";
import {
	discovererOf,
	greeter,
	Load,
	makeNode,
	metricOf,
	sees,
	spawnRegistryNode,
	startNode,
	stopNodes,
	suiteServers
} from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const ROLLING_RESTARTS = 2;

describe("The registry's service mixin", await requireServers("nats", "etcd"), () => {
	const servers = suiteServers();
	let nodes: ServiceBroker[] = [];
	afterEach(async () => {
		await stopNodes(...nodes);
		nodes = [];
		await servers.client.delete().all();
	});

	async function start(nodeID: string, ...services: ServiceSchema[]): Promise<ServiceBroker> {
		const node = await startNode(servers, { nodeID, services });
		nodes.push(node);
		return node;
	}

	it("ends `started` when the service's key is committed, after the service's own `started`", async () => {
		const seen: [string, unknown][] = [];
		const node = makeNode(servers, { nodeID: "one", services: [] });
		nodes.push(node);
		const look = async (when: string) => {
			seen.push([when, await servers.client.get("moleculer/services/shop.v2/one").json()]);
		};
		node.createService({
			name: "shop",
			version: 2,
			metadata: { team: "blue" },
			mixins: [RegistryMixin({ weight: 7, port: 8080, metadata: { zone: "a" } })],
			started: () => look("own started")
		});
		await node.start();
		await look("broker started");

		const host = node.registry.nodes.localNode?.hostname;
		const record = { node: "one", host, port: 8080, version: 2, weight: 7, metadata: { team: "blue", zone: "a" } };
		assert.deepEqual(seen, [
			["own started", null],
			["broker started", record]
		]);
		assert.equal((await servers.client.getAll().prefix("moleculer/nodes/one/").keys()).length, 1);
	});

	it("withdraws first, lets callers notice, drains, and only then runs the service's own `stopped`", async () => {
		const order: string[] = [];
		const one = await start("one");
		const two = await start("two", {
			...greeter(),
			async stopped(): Promise<void> {
				const key = await servers.client.get("moleculer/services/greeter/two").string();
				order.push(`stopped with key ${key} and ${discovererOf(two).inFlight.count()} requests`);
			}
		});
		await until("one sees two", () => sees(one, "two"));
		const slow = one.call("greeter.wait", { time: 600 }).then(result => order.push(`slow answered by ${result}`));
		await until("the request is in progress", () => discovererOf(two).inFlight.count("greeter") === 1);

		const stopping = two.stop();
		await until("one has noticed", () => !one.registry.hasService("greeter", "two"));
		order.push("noticed");
		await Promise.all([slow, stopping]);
		assert.deepEqual(order, ["noticed", "slow answered by two", "stopped with key null and 0 requests"]);
	});

	it("does the same for one service that is destroyed while its node goes on", async () => {
		const one = await start("one");
		const two = await start("two", greeter());
		const three = await start("three", greeter());
		await until("one sees both", () => sees(one, "two") && sees(one, "three"));
		const load = new Load(one, { workers: 4, pause: 1 });
		const slow = one.call("greeter.wait", { time: 300 }, { nodeID: "two" });

		await two.destroyService("greeter");
		await delay(50);
		await load.stop();
		assert.equal(await slow, "two");
		assert.deepEqual(load.failures, []);
		assert.equal(two.registry.hasService("greeter", "two"), false);
		assert.ok(three.started);
	});

	it("lets nodes leave under load without a failed call, even where callers cannot notice", async () => {
		const caller = await start("caller");
		const two = await start("two", greeter());
		await start("three", greeter());
		await until("the caller sees both", () => sees(caller, "two") && sees(caller, "three"));
		const load = new Load(caller, { workers: 8, pause: 0 });
		await until("both are called", () => load.nodes.size === 2);

		servers.etcd.pause();
		await two.stop();
		servers.etcd.resume();
		await load.stop();
		assert.deepEqual(load.failures, []);
		assert.ok(metricOf(caller, "reroutes.total") > 0, "the caller had to find out by itself");
	});

	it(`survives ${ROLLING_RESTARTS} rolling restarts under load without a failed call`, async () => {
		const caller = await start("caller");
		const processes = await Promise.all(["a", "b"].map(id => spawnRegistryNode(servers, id)));
		await until("the caller sees both", () => sees(caller, "a") && sees(caller, "b"));
		const load = new Load(caller, { workers: 4, pause: 1 });

		for (let restart = 0; restart < ROLLING_RESTARTS; restart++) {
			const id = restart % 2 ? "a" : "b";
			const index = restart % 2 ? 0 : 1;
			assert.equal(await processes[index]?.stop(), 0);
			processes[index] = await spawnRegistryNode(servers, id);
			await until("the restarted node is back", () => sees(caller, id));
		}
		await load.stop();
		await Promise.all(processes.map(node => node.stop()));
		assert.deepEqual(load.failures, []);
		assert.ok(load.calls > 100);
	});

	it("refuses a weight that is no number of 0 or more", () => {
		for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY, "3" as unknown as number]) {
			assert.throws(() => RegistryMixin({ weight }), /A weight is a number of 0 or more/);
		}
	});

	it("does nothing in a broker with another discoverer", async () => {
		const broker = new ServiceBroker({ logger: false });
		broker.createService(greeter());
		await broker.start();
		assert.equal(await broker.call("greeter.where"), broker.nodeID);
		await broker.stop();
	});
});
