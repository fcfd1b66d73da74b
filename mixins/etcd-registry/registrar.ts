import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { InFlight } from "./in-flight.ts";
import {
	encodeNode,
	encodeService,
	type KeyLayout,
	type NodeInfo,
	type ServiceRecord,
	serviceKeyName
} from "./keys.ts";
import type { EtcdLink } from "./link.ts";
import { NatsTransporter } from "./nats-transporter.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ServiceWeights } from "./service-weights.ts";

const REFUSAL_POLL_INTERVAL = 20;
const START_PAUSE = 100;

/** A service as its mixin publishes it. */
export interface ServiceRegistration {
	name: string;
	version?: string | number | null;
	/** Version to show in the registry; the service's own by default. */
	release?: string | number;
	weight: number;
	port?: number;
	metadata: Record<string, unknown>;
}

/** What the registrar shares with the rest of the registry. */
interface RegistrarParts {
	keys: KeyLayout;
	options: ResolvedOptions;
	inFlight: InFlight;
	weights: ServiceWeights;
}

/** Decides what this node's keys in etcd say, from its first announcement to its leave. */
export class Registrar {
	readonly #broker: ServiceBroker;
	readonly #link: EtcdLink;
	readonly #keys: KeyLayout;
	readonly #options: ResolvedOptions;
	readonly #inFlight: InFlight;
	readonly #weights: ServiceWeights;
	/** Own services by their name in the key. */
	readonly #services = new Map<string, ServiceRecord>();
	/** Full names of services that are about to stop: still served, not announced any more. */
	readonly #stopping = new Set<string>();
	/** When this node came up, in epoch milliseconds. */
	readonly startedAt = Date.now();
	#announced = false;
	#leaving = false;
	#detached = false;
	#scheduled = false;
	#born = 0;
	#publishing = Promise.resolve();

	constructor(broker: ServiceBroker, link: EtcdLink, { keys, options, inFlight, weights }: RegistrarParts) {
		this.#broker = broker;
		this.#link = link;
		this.#keys = keys;
		this.#options = options;
		this.#inFlight = inFlight;
		this.#weights = weights;
	}

	/** Whether the node was announced and does not leave yet. */
	get isPresent(): boolean {
		return this.#announced && !this.#leaving && !this.#detached;
	}

	/** Revision of etcd at which this instance came up; 0 after etcd has lost its data. */
	set born(revision: number) {
		this.#born = revision;
		if (this.isPresent) this.publish();
	}

	/** Announces the node with all its services; from now on changes are announced, too. */
	announce(): void {
		this.#announced = true;
		this.publish();
	}

	/**
	 * Announces the local services as they are now, once for all changes of this turn of the event loop. Before the
	 * broker has started it waits a little for more of them, but not for the last: services of other nodes may depend
	 * on the first, and the last on them.
	 */
	servicesChanged(): void {
		if (this.#scheduled || this.#leaving) return;
		this.#scheduled = true;
		const publish = (): void => {
			this.#scheduled = false;
			this.announce();
		};
		if (this.#announced) setImmediate(publish);
		else setTimeout(publish, START_PAUSE).unref();
	}

	/** Writes the node's key as it should be now; whoever reads it can call the services it names. */
	publish(): void {
		this.#publishing = this.#publishing.then(() => this.#publish()).catch(error => this.#reportError(error));
	}

	/** Resolves when everything announced so far is committed. */
	async settled(): Promise<void> {
		await this.#publishing;
		await this.#link.settled();
	}

	/** Publishes a service's key; resolves when etcd has committed it, however long that takes. */
	async publishService(service: ServiceRegistration): Promise<void> {
		const key = serviceKeyName(service.name, service.version);
		const version = service.release ?? service.version ?? undefined;
		const record: ServiceRecord = {
			node: this.#broker.nodeID,
			host: this.#broker.registry.nodes.localNode?.hostname ?? "",
			...(service.port === undefined ? {} : { port: service.port }),
			...(version === undefined ? {} : { version }),
			weight: service.weight,
			metadata: service.metadata
		};
		this.#services.set(key, record);
		// The watch tells it, too, but calls of this node need not wait for that.
		this.#weights.set(key, this.#broker.nodeID, record);
		if (this.#detached || this.#leaving) return;
		this.#link.change([[this.#keys.service(key, this.#broker.nodeID), encodeService(record)]]);
		await this.#link.settled();
	}

	/** Withdraws one service of a node that goes on, lets callers notice, and waits for its requests in progress. */
	async withdrawService(name: string, version: string | number | null | undefined, fullName: string): Promise<void> {
		const key = serviceKeyName(name, version);
		this.#services.delete(key);
		if (!this.isPresent) {
			await this.#inFlight.drained(this.#options.drainTimeout, fullName);
			return;
		}
		this.#stopping.add(fullName);
		this.#broker.registry.regenerateLocalRawInfo(true);
		this.#link.change([
			[this.#keys.service(key, this.#broker.nodeID), undefined],
			this.#nodeKey(this.#announcedInfo(), false)
		]);
		await this.#settledWithin(this.#options.leaveTimeout);
		await delay(this.#options.noticeDelay);
		await this.#inFlight.drained(this.#options.drainTimeout, fullName);
	}

	/** Somebody changed this node's service key: the weight is adopted, everything else is put back. */
	adoptWeight(service: string, { weight }: ServiceRecord): void {
		const record = this.#services.get(service);
		if (!record || !this.isPresent || record.weight === weight) return;
		this.#services.set(service, { ...record, weight });
		this.#link.change([[this.#keys.service(service, this.#broker.nodeID), encodeService({ ...record, weight })]]);
	}

	/** Without its transporter the node cannot be called: it withdraws until `attach`. */
	detach(): void {
		if (this.#leaving || this.#detached) return;
		this.#detached = true;
		this.#link.change([this.#nodeKey(undefined, false), ...this.#serviceKeys(false)]);
	}

	attach(): void {
		if (!this.#detached) return;
		this.#detached = false;
		this.#link.change(this.#serviceKeys(true));
		this.publish();
	}

	/**
	 * Graceful leave: withdraws from etcd, gives callers time to notice, hands requests back that still come, and waits
	 * for those in progress. Every step is bounded.
	 */
	async leave(): Promise<void> {
		if (this.#leaving) return;
		const wasPresent = this.isPresent;
		this.#leaving = true;
		if (!wasPresent) return;

		const info = { ...this.#broker.getLocalNodeInfo(), services: [] };
		this.#link.change([...this.#serviceKeys(false), this.#nodeKey(info, true)]);
		await this.#settledWithin(this.#options.leaveTimeout);
		await delay(this.#options.noticeDelay);

		const deadline = performance.now() + this.#options.drainTimeout;
		await this.#streamsReceived(deadline);
		const { tx } = this.#broker.transit ?? {};
		if (this.#broker.options.disableBalancer) await tx?.makeBalancedSubscriptions();
		if (tx instanceof NatsTransporter) await tx.refuseRequests().catch(error => this.#reportError(error));
		const left = await this.#inFlight.drained(Math.max(0, deadline - performance.now()));
		if (left > 0) this.#broker.logger.warn(`Leaving with ${left} request(s) still in progress.`);
		await new Promise(resolve => setImmediate(resolve)); // the last responses are sent in this turn
	}

	async #publish(): Promise<void> {
		if (!this.isPresent) return;
		const { transit, options } = this.#broker;
		if (options.disableBalancer) await transit?.tx.makeBalancedSubscriptions();
		if (this.isPresent) this.#link.change([this.#nodeKey(this.#announcedInfo(), false)]);
	}

	#reportError(error: Error): void {
		this.#broker.broadcastLocal("$discoverer.error", { error, module: "discoverer", type: "failedSendInfo" });
	}

	async #streamsReceived(deadline: number): Promise<void> {
		while ((this.#broker.transit?.pendingReqStreams.size ?? 0) > 0 && performance.now() < deadline) {
			await delay(REFUSAL_POLL_INTERVAL);
		}
	}

	async #settledWithin(timeout: number): Promise<void> {
		await Promise.race([this.#link.settled(), delay(timeout, undefined, { ref: false })]);
	}

	#announcedInfo(): NodeInfo {
		const info = this.#broker.getLocalNodeInfo() as unknown as NodeInfo;
		const present = new Set(info.services.map(service => String(service.fullName)));
		for (const name of this.#stopping) if (!present.has(name)) this.#stopping.delete(name); // it has stopped
		return { ...info, services: info.services.filter(service => !this.#stopping.has(String(service.fullName))) };
	}

	#nodeKey(info: object | undefined, leaving: boolean): [string, Buffer | undefined] {
		const { nodeID, instanceID, transit } = this.#broker;
		const direct = transit?.tx instanceof NatsTransporter;
		const record = {
			nodeID,
			instanceID,
			born: this.#born,
			startedAt: this.startedAt,
			leaving,
			info: { ...info, direct } as unknown as NodeInfo
		};
		return [this.#keys.node(nodeID, instanceID), info && encodeNode(record, this.#options.compressFrom)];
	}

	#serviceKeys(present: boolean): [string, Buffer | undefined][] {
		return [...this.#services].map(([service, record]) => [
			this.#keys.service(service, this.#broker.nodeID),
			present ? encodeService(record) : undefined
		]);
	}
}
