import assert from "node:assert/strict";
import { it } from "node:test";
import type { Endpoint, Registry, ServiceBroker } from "moleculer";
import { ServiceWeights } from "../../../mixins/etcd-registry/service-weights.ts";
import { WeightedStrategy } from "../../../mixins/etcd-registry/strategy.ts";

/** Which nodes a caller in zone a chooses in some calls. Each node is told by its zone and weight. */
function chosen(nodes: Record<string, [zone: string, weight: number]>): string[] {
	const weights = new ServiceWeights();
	const endpoints = Object.entries(nodes).map(([id, [zone, weight]]) => {
		weights.set("greeter", id, { node: id, host: id, weight, metadata: {} });
		return { id, node: { metadata: { zone } }, service: { name: "greeter" } } as unknown as Endpoint;
	});
	const registry = { discoverer: { weights } } as unknown as Registry;
	const broker = { metadata: { zone: "a" } } as unknown as ServiceBroker;
	const strategy = new WeightedStrategy(registry, broker, { preferZone: true });
	return [...new Set(Array.from({ length: 10 }, () => strategy.select(endpoints).id))].sort();
}

it("A zone whose nodes have the weight 0 counts as empty: calls go to other zones", () => {
	assert.deepEqual(chosen({ drained: ["a", 0], far: ["b", 1] }), ["far"]);
	assert.deepEqual(chosen({ drained: ["a", 0], near: ["a", 1], far: ["b", 1] }), ["near"]);
});

it("Of a node that left nothing is kept: when it comes back, its turns begin anew", () => {
	const broker = { metadata: {} } as unknown as ServiceBroker;
	const strategy = new WeightedStrategy({ discoverer: {} } as unknown as Registry, broker);
	const joined = () =>
		["one", "two"].map(id => ({ id, node: {}, service: { name: "greeter" } }) as unknown as Endpoint);
	const before = joined();
	assert.deepEqual(
		[strategy.select(before).id, strategy.select(before).id, strategy.select(before).id],
		["one", "two", "one"]
	);
	assert.equal(strategy.select(joined()).id, "one");
});
