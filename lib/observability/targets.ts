import type { ServiceBroker } from "moleculer";

/** An entry of Prometheus' HTTP service discovery (https://prometheus.io/docs/prometheus/latest/http_sd/). */
export interface Target {
	targets: string[];
	labels: Record<string, string>;
}

/** moleculer's view of a node, as far as it is read here. */
interface BrokerNode {
	id: string;
	local: boolean;
	hostname: string | null;
	ipList: string[] | null;
	metadata: unknown;
	services: unknown[];
}

/** Where a node tells others that its metrics are; part of moleculer's node metadata. */
export interface MetricsMetadata {
	metrics?: { host: string; port: number };
}

/**
 * The nodes of the mesh that have metrics, as this node knows them. One that went without saying good-bye stays a target
 * until moleculer forgets it (10 minutes): that it does not answer is what the alert `NodeDown` is about.
 */
export class Targets {
	readonly #broker: ServiceBroker;
	readonly #left = new Set<string>();

	constructor(broker: ServiceBroker) {
		this.#broker = broker;
		broker.localBus.on("$node.disconnected", ({ node, unexpected }: { node: BrokerNode; unexpected: boolean }) => {
			if (!unexpected) this.#left.add(node.id);
		});
		broker.localBus.on("$node.connected", ({ node }: { node: BrokerNode }) => this.#left.delete(node.id));
	}

	list(): Target[] {
		const nodes = this.#broker.registry.nodes.toArray() as BrokerNode[];
		return nodes
			.filter(node => node.local || !this.#left.has(node.id))
			.flatMap(node => this.#target(node))
			.sort((a, b) => String(a.labels.node).localeCompare(String(b.labels.node)));
	}

	#target({ id, hostname, ipList, metadata, services }: BrokerNode): Target[] {
		const { metrics } = (metadata ?? {}) as MetricsMetadata;
		if (!metrics) return [];
		const host = metrics.host === "0.0.0.0" ? (ipList?.[0] ?? hostname) : metrics.host;
		const names = (services as { name: string }[]).map(service => service.name).filter(name => !name.startsWith("$"));
		return [
			{
				targets: [`${host}:${metrics.port}`],
				labels: { node: id, mesh: this.#broker.namespace, services: [...new Set(names)].sort().join(",") }
			}
		];
	}
}
