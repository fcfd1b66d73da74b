import type { IEvent, IKeyValue } from "etcd3";
import type { ServiceBroker } from "moleculer";
import { BrokerNodes } from "./broker-nodes.ts";
import type { KeyLayout, ServiceRecord } from "./keys.ts";
import type { LinkListener } from "./link.ts";
import { type Change, Membership } from "./membership.ts";
import type { RegistryMetrics } from "./metrics.ts";
import type { ResolvedOptions } from "./options.ts";
import { Roster } from "./roster.ts";
import type { ServiceWeights } from "./service-weights.ts";
import { Suspects } from "./suspects.ts";

/** What the mesh's state means for this node. */
export interface MeshListener {
	/** Revision at which this instance counts as born; 0 after etcd has lost its data. */
	born(revision: number): void;
	/** The record of one of this node's own services, as etcd has it. */
	ownService(service: string, record: ServiceRecord): void;
	/** It is time for a second look at the nodes that are held. */
	resync(): void;
}

/** The other nodes: turns what etcd says into the broker's catalog of nodes. */
export class Mesh implements LinkListener {
	readonly membership: Membership;
	readonly suspects: Suspects;
	/** Resolves when the nodes were read for the first time. */
	readonly known: Promise<void>;
	readonly #broker: ServiceBroker;
	readonly #logger: ServiceBroker["logger"];
	readonly #metrics: RegistryMetrics;
	readonly #listener: MeshListener;
	readonly #nodes: BrokerNodes;
	readonly #roster: Roster;
	readonly #reportKnown: () => void;
	#holdTimer: NodeJS.Timeout | undefined;
	#downSince: number | undefined;

	constructor(
		broker: ServiceBroker,
		parts: { keys: KeyLayout; weights: ServiceWeights; metrics: RegistryMetrics; options: ResolvedOptions },
		listener: MeshListener
	) {
		const { keys, weights, metrics, options } = parts;
		const { nodeID, instanceID } = broker;
		this.#broker = broker;
		this.#logger = broker.getLogger("Discovery");
		this.#metrics = metrics;
		this.#listener = listener;
		this.membership = new Membership({ nodeID, instanceID }, (options.ttl + options.holdMargin) * 1000);
		this.#nodes = new BrokerNodes(broker, metrics, id => this.membership.get(id));
		this.suspects = new Suspects(options.suspects, this.#nodes, count => metrics.set("suspects", count));
		this.#roster = new Roster({ keys, membership: this.membership, weights }, nodeID, this.#logger, {
			changed: change => this.#applySafely(change),
			ownService: (service, record) => listener.ownService(service, record)
		});
		const { promise, resolve } = Promise.withResolvers<void>();
		this.known = promise;
		this.#reportKnown = resolve;
	}

	snapshot(entries: IKeyValue[], { revision, dataLost, first }: Parameters<LinkListener["snapshot"]>[1]): void {
		if (first) this.#setBorn(revision);
		else if (dataLost || revision < this.membership.born) {
			this.#logger.warn("etcd has lost its data; the nodes known so far are kept until they are back.");
			this.membership.distrust(performance.now());
			this.#setBorn(0);
		}
		this.#metrics.count("resyncs");
		this.#broker.broadcastLocal("$discoverer.resynced", { revision, dataLost });
		this.#roster.snapshot(entries, performance.now());
		this.#reportKnown();
		this.#changed();
	}

	events(events: IEvent[]): void {
		this.#metrics.count("watchEvents", events.length);
		for (const event of events) this.#roster.event(event, performance.now());
		this.#changed();
	}

	up(endpoint: string): void {
		const outage = this.#downSince === undefined ? "" : ` after ${Math.round(performance.now() - this.#downSince)} ms`;
		this.#logger.info(`Connected to etcd at ${endpoint}${outage}.`);
		this.#downSince = undefined;
		this.membership.outageEnded(performance.now());
		this.#metrics.set("connected", 1);
		this.#broker.broadcastLocal("$discoverer.connected", { endpoint });
		this.#changed();
	}

	down(endpoint: string, error: Error): void {
		this.membership.outageBegan();
		this.#metrics.set("connected", 0);
		if (this.#downSince === undefined) {
			this.#downSince = performance.now();
			this.#metrics.count("outages");
			this.#broker.broadcastLocal("$discoverer.disconnected", { endpoint, error });
			this.#logger.warn(`etcd at ${endpoint} cannot be reached; the nodes known so far are kept.`, error.message);
		} else this.#logger.debug(`etcd at ${endpoint} cannot be reached.`, error.message);
		this.#broker.broadcastLocal("$discoverer.error", { error, module: "discoverer", type: "clientError" });
	}

	leaseGranted(): void {
		this.#metrics.count("registrations");
		this.#broker.broadcastLocal("$discoverer.registered");
	}

	leaseLost(): void {
		this.#metrics.count("leaseLosses");
		this.#broker.broadcastLocal("$discoverer.leaseLost");
		this.#logger.warn("The lease in etcd was lost; registering again.");
	}

	stop(): void {
		clearTimeout(this.#holdTimer);
		this.suspects.stop();
	}

	#setBorn(revision: number): void {
		this.membership.born = revision;
		this.#listener.born(revision);
	}

	// A record may be well-formed and still name services that moleculer cannot take.
	#applySafely(change: Change): void {
		try {
			this.#apply(change);
		} catch (error) {
			this.#logger.error(`The registry's entry of node '${change.record.nodeID}' cannot be used.`, error);
		}
	}

	#apply(change: Change): void {
		const { record } = change;
		switch (change.type) {
			case "hold":
				this.#metrics.count("holds");
				this.#broker.broadcastLocal("$node.held", { nodeID: record.nodeID });
				this.#logger.info(`The key of node '${record.nodeID}' is gone; the node is kept until that is sure.`);
				return;
			case "superseded":
				this.#broker.fatal(
					`Another process uses the node id '${record.nodeID}' (instance ${record.instanceID}) and is newer than this one (instance ${this.#broker.instanceID}). This one stops: each node needs an id of its own.`
				);
				return;
			case "remove":
				this.suspects.forget(record.nodeID);
				this.#nodes.remove(record);
				return;
			case "replace":
				this.#nodes.rejectPending(record.nodeID);
		}
		this.suspects.forget(record.nodeID);
		this.#nodes.process(record);
	}

	#changed(): void {
		this.#metrics.set("members", this.membership.records.length);
		this.#metrics.set("held", this.membership.heldCount);
		clearTimeout(this.#holdTimer);
		const ends = this.membership.holdEnds;
		if (ends === undefined) return;
		const wait = Math.max(0, ends - performance.now()) + 1;
		this.#holdTimer = setTimeout(() => this.#listener.resync(), wait).unref();
	}
}
