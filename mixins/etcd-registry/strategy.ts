import { type Context, type Endpoint, type Registry, type ServiceBroker, Strategies } from "moleculer";
import { type ServiceRecord, serviceKeyName } from "./keys.ts";
import { PendingChecks } from "./pending-checks.ts";
import { ServiceWeights } from "./service-weights.ts";

/** Call header that restricts one call to the nodes that serve a version: `{ headers: { [VERSION_HEADER]: "v2" } }`. */
export const VERSION_HEADER = "registry-version";

const DEFAULT_WEIGHT = 100;
const ROUNDING = 1e-9; // ten times 0.1 is not quite 1

/** The broker's `registry.strategyOptions`, or an action's `strategyOptions`. */
export interface WeightedStrategyOptions {
	/** Nodes with this node's `metadata.zone` first; others only when there is none. Default false. */
	preferZone?: boolean;
	/**
	 * Of the nodes left, those that owe this caller the fewest answers for their weight, in turn: a node that is slow, for
	 * whatever reason, gets less to do. Default false.
	 */
	leastBusy?: boolean;
	/** Only nodes that serve this version, unless the call has a `registry-version` header. */
	version?: string | number;
	/** This share (0 to 1) of the calls to nodes of a version, the others to the rest. */
	canary?: { version: string | number; share: number };
}

/** An endpoint of an action or event; moleculer's type leaves the service out. */
type ServiceEndpoint = Endpoint & { service?: { name: string; version?: string | number | null } };

/**
 * Balances by what the registry says about each service on each node: version filter, then canary share, then zone,
 * then how busy they are, then weight. Shares are exact, not random: smooth weighted round-robin as in nginx (ngx_http_upstream_round_robin.c,
 * I. Sysoev), which spreads the heavy nodes evenly over time.
 *
 * moleculer's `preferLocal` comes first: with it, a local service is always chosen.
 */
export class WeightedStrategy extends Strategies.Base {
	readonly #options: WeightedStrategyOptions;
	/** By endpoint, which stays the same object as long as the node serves the action: what is kept of a node goes with it. */
	readonly #current = new WeakMap<Endpoint, number>();
	#canaryDue = 0;

	/** @throws Error when the canary's share is not between 0 and 1 */
	constructor(registry: Registry, broker: ServiceBroker, options: WeightedStrategyOptions = {}) {
		super(registry, broker, options);
		this.#options = options ?? {};
		const share = this.#options.canary?.share ?? 0;
		if (!(share >= 0 && share <= 1)) throw new Error(`A canary's share is between 0 and 1, not ${share}`);
	}

	override select(list: Endpoint[], ctx?: Context): Endpoint {
		const accepted = list.filter(endpoint => this.accepts(endpoint, ctx));
		// With nobody of the version, `accepts` refuses the call later, where it can be rejected.
		if (accepted.length === 0) return list[0] as Endpoint;
		return this.#byWeight(this.#byPending(this.#byZone(this.#byCanary(accepted))));
	}

	/** Whether the endpoint serves the version that the call, or the strategy, asks for. */
	accepts(endpoint: Endpoint, ctx?: Context): boolean {
		const wanted: unknown = ctx?.headers?.[VERSION_HEADER] ?? this.#options.version;
		return wanted === undefined || sameVersion(this.#record(endpoint)?.version, wanted);
	}

	#byCanary(list: Endpoint[]): Endpoint[] {
		const { canary } = this.#options;
		if (!canary) return list;
		// A share of a group that is drained would go to nodes with a weight of 0.
		const weighted = list.filter(endpoint => this.#weight(endpoint) > 0);
		const chosen = weighted.filter(endpoint => sameVersion(this.#record(endpoint)?.version, canary.version));
		const others = weighted.filter(endpoint => !chosen.includes(endpoint));
		if (chosen.length === 0 || others.length === 0) return weighted.length > 0 ? weighted : list;

		this.#canaryDue += canary.share;
		if (this.#canaryDue < 1 - ROUNDING) return others;
		this.#canaryDue -= 1;
		return chosen;
	}

	#byZone(list: Endpoint[]): Endpoint[] {
		const zone: unknown = this.broker.metadata.zone;
		if (!this.#options.preferZone || zone === undefined) return list;
		const near = list.filter(endpoint => endpoint.node.metadata?.zone === zone && this.#weight(endpoint) > 0);
		return near.length > 0 ? near : list;
	}

	/** Weighted least connections, as nginx' `least_conn`. */
	#byPending(list: Endpoint[]): Endpoint[] {
		const { pending } = this.registry.discoverer as { pending?: unknown };
		if (!this.#options.leastBusy || !(pending instanceof PendingChecks)) return list;
		let least = Number.POSITIVE_INFINITY;
		let idle: Endpoint[] = [];
		for (const endpoint of list) {
			const weight = this.#weight(endpoint);
			if (weight <= 0) continue;
			const load = pending.pending(endpoint.id) / weight;
			if (load < least) {
				least = load;
				idle = [endpoint];
			} else if (load === least) idle.push(endpoint);
		}
		return idle.length > 0 ? idle : list;
	}

	#byWeight(list: Endpoint[]): Endpoint {
		const weights = list.map(endpoint => this.#weight(endpoint));
		const sum = weights.reduce((total, weight) => total + weight, 0);
		const total = sum || list.length;

		let best = 0;
		let most = Number.NEGATIVE_INFINITY;
		list.forEach((endpoint, index) => {
			const weight = sum ? (weights[index] as number) : 1;
			const current = (this.#current.get(endpoint) ?? 0) + weight;
			this.#current.set(endpoint, current);
			if (weight > 0 && current > most) {
				most = current;
				best = index;
			}
		});
		const chosen = list[best] as Endpoint;
		this.#current.set(chosen, most - total);
		return chosen;
	}

	#weight(endpoint: Endpoint): number {
		return this.#record(endpoint)?.weight ?? DEFAULT_WEIGHT;
	}

	#record(endpoint: ServiceEndpoint): ServiceRecord | undefined {
		const { weights } = this.registry.discoverer as { weights?: unknown };
		if (!(weights instanceof ServiceWeights) || !endpoint.service) return undefined;
		const { name, version } = endpoint.service;
		return weights.get(serviceKeyName(name, version), endpoint.id);
	}
}

function sameVersion(one: unknown, other: unknown): boolean {
	return one !== undefined && normalized(one) === normalized(other);
}

function normalized(version: unknown): string {
	return String(version).replace(/^v(?=\d)/, "");
}
