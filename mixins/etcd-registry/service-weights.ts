import type { ServiceRecord } from "./keys.ts";

/** The services' records in etcd, by service (as in the key) and node. */
export class ServiceWeights {
	readonly #services = new Map<string, Map<string, ServiceRecord>>();

	get(service: string, nodeID: string): ServiceRecord | undefined {
		return this.#services.get(service)?.get(nodeID);
	}

	set(service: string, nodeID: string, record: ServiceRecord): void {
		const nodes = this.#services.get(service) ?? new Map<string, ServiceRecord>();
		this.#services.set(service, nodes.set(nodeID, record));
	}

	delete(service: string, nodeID: string): void {
		const nodes = this.#services.get(service);
		nodes?.delete(nodeID);
		if (nodes?.size === 0) this.#services.delete(service);
	}

	clear(): void {
		this.#services.clear();
	}

	list(): { service: string; nodeID: string; record: ServiceRecord }[] {
		return [...this.#services].flatMap(([service, nodes]) =>
			[...nodes].map(([nodeID, record]) => ({ service, nodeID, record }))
		);
	}
}
