import type { ActionHandler, Middleware, Service } from "moleculer";

/** Counts the requests that this node's services are working on. */
export class InFlight {
	readonly #counts = new Map<string, number>();
	readonly #waiters = new Set<() => void>();

	/** Middleware that counts; it wraps all others. */
	readonly middleware: Middleware = {
		name: "EtcdRegistryInFlight",
		localAction: (next, action) => {
			const service = action.service?.fullName ?? "";
			const counted: ActionHandler = async ctx => {
				this.#add(service, 1);
				try {
					return await next.call(action.service as Service, ctx);
				} finally {
					this.#add(service, -1);
				}
			};
			return counted;
		}
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

	#add(service: string, difference: number): void {
		this.#counts.set(service, this.count(service) + difference);
		for (const check of this.#waiters) check();
	}
}
