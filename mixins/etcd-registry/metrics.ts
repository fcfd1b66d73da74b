import type { ServiceBroker } from "moleculer";

const PREFIX = "moleculer.discoverer.etcd";

/** Counters, by what happened. */
const COUNTERS = {
	registrations: "Registrations: leases granted to this node",
	watchEvents: "Key changes received from etcd",
	resyncs: "Times all keys were read",
	leaseLosses: "Leases lost",
	outages: "Times etcd could not be reached any more",
	holds: "Nodes kept although their key was gone",
	suspicions: "Nodes suspended because they did not answer",
	reroutes: "Requests sent to another node because the first one did not take them",
	lateRequests: "Requests that came after their deadline and were not executed"
} as const;

/** Gauges, by what they count. */
const GAUGES = {
	members: "Other nodes in the registry",
	held: "Nodes whose key is gone and who are kept for now",
	suspects: "Nodes that are suspended or being checked",
	connected: "Whether etcd is reachable (1) or not (0)"
} as const;

export type Counter = keyof typeof COUNTERS;
export type Gauge = keyof typeof GAUGES;

/** The registry's metrics, `moleculer.discoverer.etcd.<name>` (counters: `.total`), in the broker's metric registry. */
export class RegistryMetrics {
	readonly #broker: ServiceBroker;

	constructor(broker: ServiceBroker) {
		this.#broker = broker;
		for (const [name, description] of Object.entries(COUNTERS)) {
			broker.metrics.register({ name: counterName(name), type: "counter", description, rate: true });
		}
		for (const [name, description] of Object.entries(GAUGES)) {
			broker.metrics.register({ name: `${PREFIX}.${name}`, type: "gauge", description });
		}
	}

	count(counter: Counter, by = 1): void {
		this.#broker.metrics.increment(counterName(counter), {}, by);
	}

	set(gauge: Gauge, value: number): void {
		this.#broker.metrics.set(`${PREFIX}.${gauge}`, value);
	}
}

function counterName(name: string): string {
	return `${PREFIX}.${name}.total`;
}
