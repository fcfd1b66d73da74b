import type { BrokerOptions } from "moleculer";
import { EtcdDiscoverer, NatsTransporter, WeightedStrategy } from "../../mixins/etcd-registry/index.ts";

export interface Registry {
	nats: string;
	etcd: string;
	strategy: keyof typeof strategies;
	/** Separates the strategies' meshes. */
	namespace: string;
}

/** What is compared. moleculer's strategies run on its own discoverer, whose heartbeats they need. */
export const strategies = {
	"round robin": { strategy: "RoundRobin" },
	"cpu usage": { strategy: "CpuUsage", strategyOptions: { lowCpuUsage: 10 } },
	latency: { strategy: "Latency", strategyOptions: { pingInterval: 1, lowLatency: 1, collectCount: 3 } },
	"shard by user": { strategy: "Shard", strategyOptions: { shardKey: "user" } },
	weighted: { strategy: WeightedStrategy },
	"weighted, least busy": { strategy: WeightedStrategy, strategyOptions: { leastBusy: true } }
} as const;

/** Options of a broker that joins the mesh of a strategy. */
export function registryOptions({ nats, etcd, strategy, namespace }: Registry): BrokerOptions {
	const chosen = strategies[strategy];
	const ours = chosen.strategy === WeightedStrategy;
	const registry = {
		...chosen,
		discoverer: ours ? new EtcdDiscoverer({ endpoints: [etcd] }) : { type: "Local", options: { heartbeatInterval: 1 } }
	} as NonNullable<BrokerOptions["registry"]>;
	return { namespace, transporter: new NatsTransporter(nats), registry, requestTimeout: 5000 };
}
