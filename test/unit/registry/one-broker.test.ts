import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { EtcdDiscoverer } from "../../../mixins/etcd-registry/index.ts";

it("A discoverer refuses a second broker, instead of leaving it alone", () => {
	const discoverer = new EtcdDiscoverer({ endpoints: ["http://127.0.0.1:1"] });
	const { registry } = new ServiceBroker({ logger: false, registry: { discoverer } });
	assert.throws(() => discoverer.init(registry), /serves one broker/);
});
