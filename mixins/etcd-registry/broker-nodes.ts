import type { ServiceBroker } from "moleculer";
import type { NodeRecord } from "./keys.ts";
import type { RegistryMetrics } from "./metrics.ts";
import { NatsTransporter, type NoResponders } from "./nats-transporter.ts";
import type { NodeControl, PingResult } from "./suspects.ts";

/** Applies the registry's decisions to the broker's catalog of nodes and endpoints. */
export class BrokerNodes implements NodeControl {
	readonly #broker: ServiceBroker;
	readonly #metrics: RegistryMetrics;
	readonly #recordOf: (nodeID: string) => NodeRecord | undefined;

	/** @param recordOf the record of a member, undefined for everybody else */
	constructor(broker: ServiceBroker, metrics: RegistryMetrics, recordOf: (nodeID: string) => NodeRecord | undefined) {
		this.#broker = broker;
		this.#metrics = metrics;
		this.#recordOf = recordOf;
	}

	/** Adds or updates a node with its services. */
	process(record: NodeRecord): void {
		const { nodeID, instanceID, info } = record;
		this.#broker.registry.processNodeInfo({ ...info, instanceID, sender: nodeID, ver: this.#broker.PROTOCOL_VERSION });
		this.#setAvailable(nodeID, true);
	}

	/** A restarted node will not answer what its previous process was asked. */
	rejectPending(nodeID: string): void {
		this.#broker.transit?.removePendingRequestByNodeID(nodeID);
	}

	/** The node left, or is gone. */
	remove(record: NodeRecord): void {
		this.#broker.registry.nodes.disconnected(record.nodeID, !record.leaving);
	}

	suspend(nodeID: string): void {
		this.#metrics.count("suspicions");
		this.#broker.broadcastLocal("$node.suspected", { nodeID });
		this.#broker.logger.warn(`The node '${nodeID}' does not answer and gets no calls for now.`);
		this.#setAvailable(nodeID, false);
	}

	evict(nodeID: string): void {
		this.#broker.registry.nodes.disconnected(nodeID, true);
	}

	restore(nodeID: string): void {
		const record = this.#recordOf(nodeID);
		if (!record) return;
		this.#broker.logger.info(`The node '${nodeID}' answers again.`);
		this.#broker.broadcastLocal("$node.restored", { nodeID });
		if (this.#broker.registry.nodes.get(nodeID)?.available) this.#setAvailable(nodeID, true);
		else this.process(record);
	}

	ping(nodeID: string, timeout: number): Promise<PingResult> {
		const { transit, localBus } = this.#broker;
		if (!transit?.tx.connected) return Promise.resolve("unknown");

		const id = this.#broker.generateUid();
		return new Promise<PingResult>(resolve => {
			const onPong = (pong: { id: string }): void => {
				if (pong.id === id) finish("pong");
			};
			const onNoResponders = (signal: NoResponders): void => {
				if (signal.packet === "PING" && signal.id === id) finish("noResponders");
			};
			const finish = (result: PingResult): void => {
				clearTimeout(timer);
				localBus.off("$node.pong", onPong);
				localBus.off("$transporter.noResponders", onNoResponders);
				resolve(result);
			};
			const timer = setTimeout(async () => {
				const { tx } = transit;
				const works = tx instanceof NatsTransporter ? await tx.isResponsive(timeout) : tx.connected;
				finish(works ? "timeout" : "unknown");
			}, timeout);
			localBus.on("$node.pong", onPong);
			localBus.on("$transporter.noResponders", onNoResponders);
			transit.sendPing(nodeID, id);
		});
	}

	#setAvailable(nodeID: string, available: boolean): void {
		const { actions, events } = this.#broker.registry as unknown as Catalogs;
		for (const { endpoints } of [...actions.actions.values(), ...events.events]) {
			for (const endpoint of endpoints) if (endpoint.id === nodeID) endpoint.state = available;
		}
	}
}

/** The catalogs that moleculer's types leave out of `Registry`. */
interface Catalogs {
	actions: { actions: Map<string, EndpointStates> };
	events: { events: EndpointStates[] };
}

interface EndpointStates {
	endpoints: { id: string; state: boolean }[];
}
