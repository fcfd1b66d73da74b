import assert from "node:assert/strict";
import { it } from "node:test";
import { ServiceBroker } from "moleculer";
import { EtcdDiscoverer } from "../../mixins/etcd-registry/index.ts";
import { resilience } from "../../mixins/resilience.ts";

// Moleculer's constructor answers these errors by the end of the process, so they are asked for by hand.

it("A discoverer refuses a second broker, which would never see the first", () => {
	const discoverer = new EtcdDiscoverer({ endpoints: ["http://127.0.0.1:1"] });
	const { registry } = new ServiceBroker({ logger: false, registry: { discoverer } });
	assert.throws(() => discoverer.init(registry), /serves one broker/);
});

it("Resilience refuses a second broker, which would count for the first", () => {
	const retry = {
		retries: 0,
		pause: { first: 1, longest: 1 },
		budget: { share: 0, perSecond: 0, most: 0 },
		isKeyed: () => false
	};
	const { middleware } = resilience({ policies: {}, retry, breaker: { threshold: 1, calls: 1, seconds: 1, pause: 1 } });
	const broker = new ServiceBroker({ logger: false, middlewares: [middleware] });
	assert.throws(() => middleware.created?.(broker), /serves one broker/);
});
