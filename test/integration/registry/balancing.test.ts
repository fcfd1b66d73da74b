import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { ServiceBroker } from "moleculer";
import {
	type RegistryMixinOptions,
	registryCommands,
	VERSION_HEADER,
	WeightedStrategy,
	type WeightedStrategyOptions
} from "../../../mixins/etcd-registry/index.ts";
import { discovererOf, greeter, metricOf, Scene, sees, suiteServers } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const { skip } = await requireServers("nats", "etcd");

describe("Balancing by registry data", { skip, concurrency: 4 }, () => {
	const servers = suiteServers();

	interface Node extends RegistryMixinOptions {
		zone?: string;
	}

	interface BalancedMesh {
		caller: ServiceBroker;
		/** The caller first. */
		nodes: ServiceBroker[];
		keys: Scene["keys"];
		scene: Scene;
	}

	/** Starts a caller with the strategy, and nodes with the given service options. */
	async function start(
		context: TestContext,
		strategyOptions: WeightedStrategyOptions,
		others: Record<string, Node>
	): Promise<BalancedMesh> {
		const scene = new Scene(context, servers);
		const registry = { strategy: WeightedStrategy, strategyOptions };
		const [caller, ...started] = await Promise.all([
			scene.add({ nodeID: "caller", broker: { registry, metadata: { zone: "a" } } }),
			...Object.entries(others).map(([nodeID, { zone, ...options }]) =>
				scene.add({ nodeID, services: [greeter(options)], broker: { metadata: { zone } } })
			)
		]);
		for (const node of started) {
			await until(
				"the caller sees all",
				() => sees(caller, node.nodeID) && weightOf(caller, node.nodeID) !== undefined
			);
		}
		return { caller, nodes: [caller, ...started], keys: scene.keys, scene };
	}

	function weightOf(caller: ServiceBroker, nodeID: string): number | undefined {
		return discovererOf(caller).weights.get("greeter", nodeID)?.weight;
	}

	async function shares(caller: ServiceBroker, calls: number, headers = {}): Promise<Record<string, number>> {
		const counts: Record<string, number> = {};
		for (let call = 0; call < calls; call++) {
			const node = await caller.call<string, object>("greeter.where", {}, { headers });
			counts[node] = (counts[node] ?? 0) + 1;
		}
		return counts;
	}

	it("gives each node the share of its weight", async context => {
		const { caller } = await start(context, {}, { heavy: { weight: 6 }, light: { weight: 2 }, none: { weight: 0 } });
		assert.deepEqual(await shares(caller, 80), { heavy: 60, light: 20 });
	});

	it("follows a weight changed in etcd, on every node", async context => {
		const { caller, nodes, keys } = await start(context, {}, { one: { weight: 1 }, two: { weight: 1 } });
		const key = "services/greeter/two";

		const record = (await keys.get(key).json()) as object;
		await keys.put(key).value(JSON.stringify({ ...record, weight: 3 }));
		for (const node of nodes) {
			const took = await until("all know the weight", () => weightOf(node, "two") === 3);
			context.diagnostic(`'${node.nodeID}' knew the weight ${took.toFixed(1)} ms after the put`);
		}
		assert.deepEqual(await shares(caller, 40), { one: 10, two: 30 });
	});

	it("keeps the changed weight, puts the key back under the node's lease, and restores all else", async context => {
		const { nodes, keys } = await start(context, {}, { one: { weight: 1, metadata: { team: "blue" } } });
		const key = "services/greeter/one";
		await keys.put(key).value('{"weight":9,"metadata":{"team":"red"}}');

		const lease = discovererOf(nodes[1] as ServiceBroker).link.lease;
		await until("the key is under the lease again", async () => (await keys.get(key).exec()).kvs[0]?.lease === lease);
		const record = (await keys.get(key).json()) as Record<string, unknown>;
		assert.equal(record.weight, 9);
		assert.deepEqual(record.metadata, { team: "blue" });
		assert.equal(record.node, "one");
	});

	it("calls only nodes of the version that a call asks for, and rejects it when there is none", async context => {
		const { caller } = await start(context, {}, { old: { version: "v1" }, new: { version: "v2" } });

		assert.deepEqual(await shares(caller, 6, { [VERSION_HEADER]: "v2" }), { new: 6 });
		assert.deepEqual(await shares(caller, 6, { [VERSION_HEADER]: 1 }), { old: 6 });
		await assert.rejects(shares(caller, 1, { [VERSION_HEADER]: "v3" }), { type: "SERVICE_NOT_AVAILABLE" });
		assert.deepEqual(await shares(caller, 6), { old: 3, new: 3 });
	});

	it("rejects a call for another version even when there is a single node, remote or local", async context => {
		const { caller, scene } = await start(context, {}, { old: { version: "v1" } });
		const headers = { [VERSION_HEADER]: "v2" };
		await assert.rejects(caller.call("greeter.where", {}, { headers }), { type: "SERVICE_NOT_AVAILABLE" });

		const local = await scene.add({
			nodeID: "local",
			services: [greeter({ version: "v1" }, "own")],
			broker: { registry: { strategy: WeightedStrategy } }
		});
		await assert.rejects(local.call("own.where", {}, { headers }), { type: "SERVICE_NOT_AVAILABLE" });
		assert.equal(await local.call("own.where", {}, { headers: { [VERSION_HEADER]: "v1" } }), "local");
	});

	it("gives a canary its share", async context => {
		const { caller } = await start(
			context,
			{ canary: { version: "v2", share: 0.1 } },
			{ one: { version: "v1" }, two: { version: "v1" }, canary: { version: "v2" } }
		);
		const { canary, one, two } = await shares(caller, 100);
		assert.equal(canary, 10);
		assert.equal(one, 45);
		assert.equal(two, 45);
	});

	for (const { title, weights, expected } of [
		{ title: "the canary", weights: { stable: 100, drained: 100, canary: 0 }, expected: { stable: 15, drained: 15 } },
		{ title: "a stable node", weights: { stable: 100, drained: 0, canary: 100 }, expected: { stable: 24, canary: 6 } },
		{ title: "all stable nodes", weights: { stable: 0, drained: 0, canary: 100 }, expected: { canary: 30 } },
		{ title: "all but a stable node", weights: { stable: 100, drained: 0, canary: 0 }, expected: { stable: 30 } },
		{
			title: "nobody, where all have it",
			weights: { stable: 0, drained: 0, canary: 0 },
			expected: { stable: 10, drained: 10, canary: 10 }
		}
	]) {
		it(`with a canary, a weight of 0 takes out ${title}`, async context => {
			const options = { canary: { version: "v2", share: 0.2 } };
			const nodes = Object.entries(weights).map(([id, weight]) => [
				id,
				{ weight, version: id === "canary" ? "v2" : "v1" }
			]);
			const { caller } = await start(context, options, Object.fromEntries(nodes));
			assert.deepEqual(await shares(caller, 30), expected);
		});
	}

	it("prefers the own zone, and goes to others when it is empty", async context => {
		const { caller, nodes } = await start(context, { preferZone: true }, { near: { zone: "a" }, far: { zone: "b" } });
		assert.deepEqual(await shares(caller, 10), { near: 10 });

		await nodes[1]?.stop();
		await until("near is gone", () => !sees(caller, "near"));
		assert.deepEqual(await shares(caller, 10), { far: 10 });
	});

	it("with leastBusy gives a node nothing new while it owes more answers than another, and its share otherwise", async context => {
		const { caller } = await start(
			context,
			{ leastBusy: true },
			{ one: { weight: 1 }, two: { weight: 1 }, none: { weight: 0 } }
		);
		assert.deepEqual(await shares(caller, 40), { one: 20, two: 20 });
		const slow = caller.call<string, object>("greeter.wait", { time: 1000 });
		const others = await shares(caller, 20);
		assert.deepEqual(others, { [(await slow) === "one" ? "two" : "one"]: 20 });
		assert.deepEqual(await shares(caller, 40), { one: 20, two: 20 });
	});

	it("shows members and changes weights in the REPL", async context => {
		const { caller, nodes, keys } = await start(context, {}, { one: { weight: 1 }, two: { weight: 1 } });
		const printed = context.mock.method(console, "log", () => {});
		const run = async (args: object): Promise<string> => {
			const [command] = registryCommands;
			await command?.action(caller, args as string[], {
				table: (rows: string[][]) => rows.map(row => row.join(" | ")).join("\n")
			});
			return String(printed.mock.calls.at(-1)?.arguments[0]);
		};

		const overview = await run({});
		assert.match(overview, /^Node \| State \| Age \| Lease \| Revision \| Services/);
		assert.match(overview, /\ncaller \| self \| \d+ s \| [0-9a-f]+ \| \d+ \| -\n/);
		assert.match(overview, /\none \| online \| \d+ s \| [0-9a-f]+ \| \d+ \| greeter \(1\)\n/);

		assert.match(await run({ verb: "weight", service: "greeter", node: "two", weight: "4" }), /is 4 now/);
		await until("the caller knows", () => weightOf(caller, "two") === 4);
		const lease = (await keys.get("services/greeter/two").exec()).kvs[0]?.lease;
		assert.equal(lease, discovererOf(nodes[2] as ServiceBroker).link.lease, "the lease was kept");

		assert.match(await run({ verb: "weigh" }), /Usage/);
		const greeterOnTwo = { verb: "weight", service: "greeter", node: "two" };
		for (const weight of ["-1", "", " ", "0x10", "1e3", "many", "Infinity", "9".repeat(400)])
			assert.match(await run({ ...greeterOnTwo, weight }), /^Usage: .* 0 or more[^\n]*$/, `'${weight}'`);
		assert.equal(weightOf(caller, "two"), 4);
		assert.match(await run({ ...greeterOnTwo, weight: "2.5" }), /is 2.5 now/);
		assert.match(await run({ ...greeterOnTwo, service: "nothing", weight: "1" }), /^[^\n]*no service 'nothing'[^\n]*$/);
	});

	it("counts what happens in the broker's metrics", async context => {
		const { caller } = await start(context, {}, { one: {}, two: {} });
		const value = (name: string) => metricOf(caller, name);
		assert.equal(value("registrations.total"), 1);
		assert.equal(value("resyncs.total"), 1);
		assert.ok(value("watchEvents.total") > 0);
		assert.equal(value("members"), 2);
		assert.equal(value("held"), 0);
		assert.equal(value("connected"), 1);

		await servers.client.leaseClient.leaseRevoke({ ID: discovererOf(caller).link.lease as string });
		await until("the loss is counted", () => value("leaseLosses.total") === 1);
	});
});
