import { setTimeout as delay } from "node:timers/promises";
import { type Context, Discoverers, type Registry } from "moleculer";
import { connectAtOnce } from "./connect-at-once.ts";
import { InFlight } from "./in-flight.ts";
import { decodeService, encodeService, isWeight, KeyLayout } from "./keys.ts";
import { EtcdLink } from "./link.ts";
import { type MemberView, memberViews } from "./members.ts";
import { Mesh } from "./mesh.ts";
import { RegistryMetrics } from "./metrics.ts";
import type { NoResponders } from "./nats-transporter.ts";
import { type EtcdDiscovererOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import { PendingChecks } from "./pending-checks.ts";
import { Registrar } from "./registrar.ts";
import { Requests } from "./requests.ts";
import { ServiceWeights } from "./service-weights.ts";

const OFFLINE_CHECK_INTERVAL = 60_000;
const OFFLINE_KEPT = 600; // seconds, as moleculer does

/**
 * Watch-driven service discovery through etcd, for the broker option `registry.discoverer`. The folder's README
 * describes guarantees, limits and the key layout.
 */
export class EtcdDiscoverer extends Discoverers.Base {
	readonly options: ResolvedOptions;
	/** Records of all services, with their weights. */
	readonly weights = new ServiceWeights();
	/** Requests that this node is working on. */
	readonly inFlight = new InFlight();
	link!: EtcdLink;
	mesh!: Mesh;
	registrar!: Registrar;
	/** Requests of this node that have no answer yet. */
	pending!: PendingChecks;
	metrics!: RegistryMetrics;
	#keys!: KeyLayout;
	#graceTimer: NodeJS.Timeout | undefined;
	/** In milliseconds of this process: the wall clock may be set. */
	#quietUntil = 0;
	#started = false;

	/** @throws Error when an option makes no sense */
	constructor(options: EtcdDiscovererOptions) {
		super();
		this.options = resolveOptions(options);
	}

	override init(registry: Registry): void {
		// Two brokers with one of it would start, and never see each other.
		if (this.registry) throw new Error("An EtcdDiscoverer serves one broker: make another one for each");
		super.init(registry);
		const { broker, options, weights } = this;
		this.metrics = new RegistryMetrics(broker);
		this.#keys = new KeyLayout(options.prefix, broker.namespace);
		this.mesh = new Mesh(
			broker,
			{ keys: this.#keys, weights, metrics: this.metrics, options },
			{
				born: revision => {
					this.registrar.born = revision;
				},
				ownService: (service, record) => this.registrar.adoptWeight(service, record),
				resync: () => this.link.resync()
			}
		);
		this.link = new EtcdLink(options, this.#keys.root, this.mesh);
		this.registrar = new Registrar(broker, this.link, { keys: this.#keys, options, inFlight: this.inFlight, weights });
		this.#listenToBroker();
		this.#listenToTransporter();
		connectAtOnce(broker);
	}

	/** Reads all nodes, at most for `startTimeout`; without etcd the broker starts alone and catches up later. */
	override async discoverAllNodes(): Promise<void> {
		this.link.start();
		await this.#withinStartTimeout(this.mesh.known);
	}

	override async discoverNode(): Promise<void> {}

	/** Announces this node, or, when the broker is stopping, leaves. Never rejects. */
	override async sendLocalNodeInfo(nodeID?: string): Promise<void> {
		if (nodeID) return;
		try {
			if (this.#started && !this.broker.started) await this.registrar.leave();
			else this.registrar.publish();
		} catch (error) {
			this.broker.broadcastLocal("$discoverer.error", { error, module: "discoverer", type: "failedSendInfo" });
		}
	}

	override async localNodeDisconnected(): Promise<void> {
		await this.link.close();
	}

	/** A DISCONNECT packet of a node with another discoverer, or of an old instance: a reason to look, no more. */
	override remoteNodeDisconnected(nodeID: string): void {
		if (this.mesh.membership.get(nodeID)) this.mesh.suspects.noResponders(nodeID);
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
			const kept = this.mesh.membership.get(node.id) || node.offlineSince === null;
			if (!kept && process.uptime() - Number(node.offlineSince) > OFFLINE_KEPT) this.registry.nodes.delete(node.id);
		}
	}

	/** All members as tools show them, this node first. */
	members(): MemberView[] {
		const self = { nodeID: this.broker.nodeID, startedAt: this.registrar.startedAt };
		const { membership, suspects } = this.mesh;
		return memberViews(self, this.link, membership, this.weights, suspects.ids);
	}

	/**
	 * Changes the weight of a service on a node, in etcd and so for everybody.
	 *
	 * @param service as in the key: `note`, or `note.v2` for version 2
	 * @throws Error when the weight is no number of 0 or more, nobody serves that there, or etcd cannot be reached
	 */
	async changeWeight(service: string, nodeID: string, weight: number): Promise<void> {
		if (!isWeight(weight)) throw new Error(`A weight is a number of 0 or more, not ${weight}`);
		const key = this.#keys.service(service, nodeID);
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
		clearTimeout(this.#graceTimer);
		this.mesh.stop();
		await this.link.close();
		await super.stop();
	}

	#listenToBroker(): void {
		const { broker } = this;
		broker.middlewares.add(this.inFlight.middleware);
		broker.middlewares.add({
			name: "EtcdRegistry",
			// `broker.start()` ends when the node's key is committed; without etcd it does not wait for long.
			started: () => this.#withinStartTimeout(broker.transit ? this.registrar.settled() : Promise.resolve())
		});
		broker.localBus.on("$broker.started", () => {
			this.#started = true;
			this.registrar.announce();
		});
		broker.localBus.on("$services.changed", ({ localService }: { localService: boolean }) => {
			if (localService) this.registrar.servicesChanged();
		});
	}

	#listenToTransporter(): void {
		const { broker, metrics, mesh } = this;
		const { localBus } = broker;
		const { membership, suspects } = mesh;
		const isJudged = (nodeID: string) => performance.now() >= this.#quietUntil && membership.get(nodeID) !== undefined;
		const checks = new PendingChecks(this.options.suspects.checkAfter, nodeID => {
			if (isJudged(nodeID)) suspects.check(nodeID);
		});
		this.pending = checks;
		const requests = new Requests(broker, {
			sent: nodeID => checks.sent(nodeID),
			over: (nodeID, answered) => {
				checks.over(nodeID, answered);
				if (answered) suspects.answered(nodeID);
			},
			timedOut: nodeID => membership.get(nodeID) && suspects.timedOut(nodeID),
			rerouted: () => metrics.count("reroutes")
		});
		broker.middlewares.add({
			name: "EtcdRegistryVersions",
			localAction: next => (ctx: Context) => requests.callOwn(ctx, next)
		});
		localBus.on("$transporter.noResponders", (signal: NoResponders) => {
			const { nodeID, packet } = signal;
			const isAskedAgain = requests.noResponders(signal);
			if (packet === "REQ" && nodeID && !isAskedAgain && isJudged(nodeID)) suspects.noResponders(nodeID);
		});
		localBus.on("$transporter.lateRequest", () => metrics.count("lateRequests"));
		localBus.on("$transporter.disconnected", ({ graceFul }: { graceFul: boolean }) => {
			if (graceFul) return;
			clearTimeout(this.#graceTimer);
			this.#graceTimer = setTimeout(() => this.registrar.detach(), this.options.transporterGrace).unref();
		});
		localBus.on("$transporter.connected", ({ wasReconnect }: { wasReconnect: boolean }) => {
			if (wasReconnect) this.#quietUntil = performance.now() + this.options.suspects.quietAfterReconnect;
			clearTimeout(this.#graceTimer);
			this.registrar.attach();
		});
	}

	async #withinStartTimeout(promise: Promise<void>): Promise<void> {
		await Promise.race([promise, delay(this.options.startTimeout, undefined, { ref: false })]);
	}
}
