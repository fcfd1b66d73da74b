import { setTimeout as delay } from "node:timers/promises";
import { Discoverers, type Registry } from "moleculer";
import { BrokerNodes } from "./broker-nodes.ts";
import { InFlight } from "./in-flight.ts";
import { decodeService, encodeService, isWeight, KeyLayout } from "./keys.ts";
import { EtcdLink, type LinkListener } from "./link.ts";
import { type MemberView, memberViews } from "./members.ts";
import { type Change, Membership } from "./membership.ts";
import { RegistryMetrics } from "./metrics.ts";
import type { NoResponders } from "./nats-transporter.ts";
import { type EtcdDiscovererOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { Registrar } from "./registrar.ts";
import { Requests } from "./requests.ts";
import { Roster } from "./roster.ts";
import { ServiceWeights } from "./service-weights.ts";
import { Suspects } from "./suspects.ts";

const OFFLINE_CHECK_INTERVAL = 60_000;
const OFFLINE_KEPT = 600; // seconds, as moleculer does

/**
 * Watch-driven service discovery through etcd, for the broker option `registry.discoverer`. The folder's README
 * describes guarantees, limits and the key layout.
 */
export class EtcdDiscoverer extends Discoverers.Base {
	readonly options: ResolvedOptions;
	link!: EtcdLink;
	keys!: KeyLayout;
	membership!: Membership;
	registrar!: Registrar;
	suspects!: Suspects;
	metrics!: RegistryMetrics;
	readonly weights = new ServiceWeights();
	readonly inFlight = new InFlight();
	readonly #firstSnapshot = Promise.withResolvers<void>();
	#nodes!: BrokerNodes;
	#roster!: Roster;
	#holdTimer: NodeJS.Timeout | undefined;
	#graceTimer: NodeJS.Timeout | undefined;
	#quietUntil = 0;
	#downSince: number | undefined;

	/** @throws Error when an option makes no sense */
	constructor(options: EtcdDiscovererOptions) {
		super();
		this.options = resolveOptions(options);
	}

	override init(registry: Registry): void {
		super.init(registry);
		const { broker, options } = this;
		const self = { nodeID: broker.nodeID, instanceID: broker.instanceID };
		this.metrics = new RegistryMetrics(broker);
		this.keys = new KeyLayout(options.prefix, broker.namespace);
		this.membership = new Membership(self, (options.ttl + options.holdMargin) * 1000);
		this.link = new EtcdLink(options, this.keys.root, this.#linkListener());
		this.registrar = new Registrar(broker, this.link, this.keys, options, this.inFlight);
		this.#nodes = new BrokerNodes(broker, nodeID => this.membership.get(nodeID));
		this.suspects = new Suspects(options.suspects, this.#countingNodes());
		this.#roster = new Roster(this, broker.nodeID, this.logger, {
			changed: change => this.#apply(change),
			ownService: (service, record) => this.registrar.adoptWeight(service, record)
		});
		this.#listenToBroker();
	}

	/** Reads all nodes, at most for `startTimeout`; without etcd the broker starts alone and catches up later. */
	override async discoverAllNodes(): Promise<void> {
		this.link.start();
		await Promise.race([this.#firstSnapshot.promise, delay(this.options.startTimeout, undefined, { ref: false })]);
	}

	override async discoverNode(): Promise<void> {}

	/** Announces this node, or, when the broker is stopping, leaves. Never rejects. */
	override async sendLocalNodeInfo(nodeID?: string): Promise<void> {
		if (nodeID) return;
		try {
			if (this.broker.options.disableBalancer) await this.transit?.tx.makeBalancedSubscriptions();
			if (this.registrar.isPresent && !this.broker.started) await this.registrar.leave();
			else this.registrar.publish();
		} catch (error) {
			this.#report(error as Error, "failedSendInfo");
		}
	}

	override async localNodeDisconnected(): Promise<void> {
		await this.link.close();
	}

	/** A DISCONNECT packet of a node with another discoverer, or of an old instance: a reason to look, no more. */
	override remoteNodeDisconnected(nodeID: string): void {
		if (this.membership.get(nodeID)) this.suspects.noResponders(nodeID);
	}

	// etcd alone says who is a member: no heartbeats, and no INFO through the transporter.
	override heartbeatReceived(): void {}
	override async sendHeartbeat(): Promise<void> {}
	override processRemoteNodeInfo(nodeID: string): ReturnType<Registry["nodes"]["get"]> {
		return this.registry.nodes.get(nodeID);
	}

	override startHeartbeatTimers(): void {
		this.stopHeartbeatTimers();
		this.offlineTimer = setInterval(() => this.checkOfflineNodes(), OFFLINE_CHECK_INTERVAL).unref();
	}

	override checkOfflineNodes(): void {
		for (const node of this.registry.nodes.toArray()) {
			const kept = this.membership.get(node.id) || node.offlineSince === null;
			if (!kept && process.uptime() - Number(node.offlineSince) > OFFLINE_KEPT) this.registry.nodes.delete(node.id);
		}
	}

	/** All members as tools show them, this node first. */
	members(): MemberView[] {
		const self = { nodeID: this.broker.nodeID, startedAt: this.registrar.startedAt };
		return memberViews(self, this.link, this.membership, this.weights, this.suspects.ids);
	}

	/**
	 * Changes the weight of a service on a node, in etcd and so for everybody.
	 *
	 * @param service as in the key: `note`, or `note.v2` for version 2
	 * @throws Error when the weight is no number of 0 or more, nobody serves that there, or etcd cannot be reached
	 */
	async changeWeight(service: string, nodeID: string, weight: number): Promise<void> {
		if (!isWeight(weight)) throw new Error(`A weight is a number of 0 or more, not ${weight}`);
		const key = this.keys.service(service, nodeID);
		await this.link.use(async connection => {
			for (let written = false; !written; ) {
				const entry = await connection.read(key);
				if (!entry) throw new Error(`The registry has no service '${service}' on node '${nodeID}'`);
				const value = encodeService({ ...decodeService(entry.value), weight });
				written = await connection.replace(key, value, entry.mod_revision);
			}
		});
	}

	override async stop(): Promise<void> {
		clearTimeout(this.#holdTimer);
		clearTimeout(this.#graceTimer);
		this.suspects.stop();
		await this.link.close();
		await super.stop();
	}

	#listenToBroker(): void {
		const { broker } = this;
		const { localBus } = broker;
		const requests = new Requests(broker, {
			answered: nodeID => this.suspects.answered(nodeID),
			timedOut: nodeID => this.membership.get(nodeID) && this.suspects.timedOut(nodeID),
			rerouted: () => this.metrics.count("reroutes")
		});
		broker.middlewares.add(this.inFlight.middleware);
		broker.middlewares.add({ name: "EtcdRegistry", started: () => this.#registered() });

		localBus.on("$broker.started", () => this.registrar.announce());
		localBus.on("$services.changed", ({ localService }: { localService: boolean }) => {
			if (localService && broker.started) this.registrar.publishSoon();
		});
		localBus.on("$transporter.noResponders", (signal: NoResponders) => {
			const { nodeID, packet } = signal;
			const quiet = Date.now() < this.#quietUntil;
			if (packet === "REQ" && nodeID && !quiet && this.membership.get(nodeID)) this.suspects.noResponders(nodeID);
			requests.noResponders(signal);
		});
		localBus.on("$transporter.lateRequest", () => this.metrics.count("lateRequests"));
		localBus.on("$transporter.disconnected", ({ graceFul }: { graceFul: boolean }) => {
			if (graceFul) return;
			clearTimeout(this.#graceTimer);
			this.#graceTimer = setTimeout(() => this.registrar.detach(), this.options.transporterGrace).unref();
		});
		localBus.on("$transporter.connected", ({ wasReconnect }: { wasReconnect: boolean }) => {
			if (wasReconnect) this.#quietUntil = Date.now() + this.options.suspects.quietAfterReconnect;
			clearTimeout(this.#graceTimer);
			this.registrar.attach();
		});
	}

	/** Holds the end of `broker.start()` until the node's key is committed; without etcd it does not wait for long. */
	async #registered(): Promise<void> {
		if (!this.broker.transit) return;
		await Promise.race([this.link.settled(), delay(this.options.startTimeout, undefined, { ref: false })]);
	}

	#linkListener(): LinkListener {
		const now = () => performance.now();
		return {
			snapshot: (entries, { dataLost, first }) => {
				if (first) this.#setBorn(this.link.revision);
				else if (dataLost || this.link.revision < this.membership.born) {
					this.logger.warn("etcd has lost its data; the nodes known so far are kept until they are back.");
					this.membership.distrust(now());
					this.#setBorn(0);
				}
				this.metrics.count("resyncs");
				this.#roster.snapshot(entries, now());
				this.#firstSnapshot.resolve();
				this.#membersChanged();
			},
			events: events => {
				this.metrics.count("watchEvents", events.length);
				for (const event of events) this.#roster.event(event, now());
				this.#membersChanged();
			},
			up: endpoint => this.#up(endpoint),
			down: (endpoint, error) => this.#down(endpoint, error),
			leaseGranted: () => this.metrics.count("registrations"),
			leaseLost: () => {
				this.metrics.count("leaseLosses");
				this.logger.warn("The lease in etcd was lost; registering again.");
			}
		};
	}

	#setBorn(revision: number): void {
		this.membership.born = revision;
		this.registrar.born = revision;
	}

	#up(endpoint: string): void {
		const outage = this.#downSince === undefined ? "" : ` after ${Math.round(performance.now() - this.#downSince)} ms`;
		this.logger.info(`Connected to etcd at ${endpoint}${outage}.`);
		this.#downSince = undefined;
		this.membership.outageEnded(performance.now());
		this.metrics.set("connected", 1);
		this.#membersChanged();
	}

	#down(endpoint: string, error: Error): void {
		this.membership.outageBegan();
		this.metrics.set("connected", 0);
		if (this.#downSince === undefined) {
			this.#downSince = performance.now();
			this.metrics.count("outages");
			this.logger.warn(`etcd at ${endpoint} cannot be reached; the nodes known so far are kept.`, error.message);
		} else this.logger.debug(`etcd at ${endpoint} cannot be reached.`, error.message);
		this.#report(error, "clientError");
	}

	#apply(change: Change): void {
		const { record } = change;
		switch (change.type) {
			case "hold":
				this.metrics.count("holds");
				this.logger.info(`The key of node '${record.nodeID}' is gone; the node is kept until that is sure.`);
				return;
			case "superseded":
				this.broker.fatal(
					`Another process uses the node id '${record.nodeID}' (instance ${record.instanceID}) and is newer than this one (instance ${this.broker.instanceID}). This one stops: each node needs an id of its own.`
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

	#membersChanged(): void {
		this.metrics.set("members", this.membership.records.length);
		this.metrics.set("held", this.membership.heldCount);
		clearTimeout(this.#holdTimer);
		const ends = this.membership.holdEnds;
		if (ends === undefined) return;
		// The second look at the held nodes: what is absent from it is removed.
		const wait = Math.max(0, ends - performance.now()) + 1;
		this.#holdTimer = setTimeout(() => this.link.resync(), wait).unref();
	}

	#countingNodes() {
		const nodes = this.#nodes;
		return {
			ping: (nodeID: string, timeout: number) => nodes.ping(nodeID, timeout),
			suspend: (nodeID: string) => {
				this.metrics.count("suspicions");
				nodes.suspend(nodeID);
			},
			evict: (nodeID: string) => nodes.evict(nodeID),
			restore: (nodeID: string) => nodes.restore(nodeID)
		};
	}

	#report(error: Error, type: string): void {
		this.broker.broadcastLocal("$discoverer.error", { error, module: "discoverer", type });
	}
}
