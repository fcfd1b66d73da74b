import type { IEvent, IKeyValue } from "etcd3";
import type { ServiceBroker } from "moleculer";
import { decodeNode, decodeService, type KeyLayout, type ServiceRecord, type StoredNode } from "./keys.ts";
import type { Change, Membership } from "./membership.ts";
import type { ServiceWeights } from "./service-weights.ts";

/** What follows from the keys. */
export interface RosterListener {
	changed(change: Change): void;
	/** The record of one of this node's own services, as etcd has it. */
	ownService(service: string, record: ServiceRecord): void;
}

/** Reads the keys of all nodes and services, and keeps membership and weights in line with them. */
export class Roster {
	readonly #keys: KeyLayout;
	readonly #membership: Membership;
	readonly #weights: ServiceWeights;
	readonly #nodeID: string;
	readonly #logger: ServiceBroker["logger"];
	readonly #listener: RosterListener;

	constructor(
		{ keys, membership, weights }: { keys: KeyLayout; membership: Membership; weights: ServiceWeights },
		nodeID: string,
		logger: ServiceBroker["logger"],
		listener: RosterListener
	) {
		this.#keys = keys;
		this.#membership = membership;
		this.#weights = weights;
		this.#nodeID = nodeID;
		this.#logger = logger;
		this.#listener = listener;
	}

	/** All keys as of now. */
	snapshot(entries: IKeyValue[], now: number): void {
		this.#weights.clear();
		const records = entries.map(entry => this.#read(entry)).filter(record => record !== undefined);
		this.#report(this.#membership.snapshot(records, now));
	}

	/** One change of a key. */
	event({ type, kv }: IEvent, now: number): void {
		if (type === "Delete") this.#deleted(kv.key.toString(), now);
		else {
			const record = this.#read(kv);
			if (record) this.#report(this.#membership.put(record));
		}
	}

	/** Takes in a service's record, or returns a node's. What cannot be read is logged and skipped. */
	#read({ key, value, lease, mod_revision }: IKeyValue): StoredNode | undefined {
		const name = key.toString();
		const parsed = this.#keys.parse(name);
		try {
			if (parsed?.kind === "node") {
				return { ...decodeNode(value, parsed.nodeID, parsed.instanceID), lease, revision: Number(mod_revision) };
			}
			if (parsed?.kind === "service") {
				const record = decodeService(value);
				this.#weights.set(parsed.service, parsed.nodeID, record);
				if (parsed.nodeID === this.#nodeID) this.#listener.ownService(parsed.service, record);
			} else this.#logger.warn(`Unknown key in the registry, skipped: ${name}`);
		} catch (error) {
			this.#logger.warn(`Unreadable entry in the registry, skipped: ${name}`, (error as Error).message);
		}
		return undefined;
	}

	#deleted(name: string, now: number): void {
		const parsed = this.#keys.parse(name);
		if (parsed?.kind === "node") this.#report(this.#membership.delete(parsed.nodeID, parsed.instanceID, now));
		else if (parsed?.kind === "service") this.#weights.delete(parsed.service, parsed.nodeID);
	}

	#report(changes: Change[]): void {
		for (const change of changes) this.#listener.changed(change);
	}
}
