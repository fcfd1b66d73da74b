import type { Middleware, Service } from "moleculer";

/** Counts the requests and events that this node's services are working on. */
export class InFlight {
	readonly #counts = new Map<string, number>();
	readonly #waiters = new Set<() => void>();

	/** Middleware that counts; it wraps all others. */
	readonly middleware: Middleware = {
		name: "EtcdRegistryInFlight",
		localAction:
			(next, { service }) =>
			ctx =>
				this.#counted(service, () => next.call(service as Service, ctx)),
		localEvent:
			(next, { service }) =>
			ctx =>
				this.#counted(service, () => next.call(service as Service, ctx))
	};

	/** @param service full name of a service; without, all services */
	count(service?: string): number {
		if (service !== undefined) return this.#counts.get(service) ?? 0;
		return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
	}

	/** Waits until nothing is in progress, at most `timeout` milliseconds; returns what is left. */
	async drained(timeout: number, service?: string): Promise<number> {
		if (this.count(service) === 0) return 0;
		return new Promise<number>(resolve => {
			const check = (): void => {
				if (this.count(service) === 0) finish();
			};
			const finish = (): void => {
				clearTimeout(timer);
				this.#waiters.delete(check);
				resolve(this.count(service));
			};
			const timer = setTimeout(finish, timeout);
			this.#waiters.add(check);
		});
	}

	async #counted<T>(service: Service | undefined, work: () => Promise<T> | T): Promise<T> {
		const name = service?.fullName ?? "";
		this.#add(name, 1);
		try {
			return await work();
		} finally {
			this.#add(name, -1);
		}
	}

	#add(service: string, difference: number): void {
		this.#counts.set(service, this.count(service) + difference);
		for (const check of this.#waiters) check();
	}
}
