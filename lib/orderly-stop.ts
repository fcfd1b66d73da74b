import type { Middleware, Service } from "moleculer";

type Start = () => Promise<void> | void;

const never = new Promise<never>(() => {});

/**
 * Makes the first stop of a broker the one that counts. A second signal does not end what the first one has begun. A
 * start that a stop cuts short has not failed: nothing more of it is begun, and it never settles, for the stop ends the
 * process.
 */
export function orderlyStop(): Middleware {
	let stopped: Promise<void> | undefined;

	async function unlessStopped(start: Start, { logger }: Pick<Service, "logger">): Promise<void> {
		if (stopped) return never;
		try {
			await start();
		} catch (error) {
			if (!stopped) throw error;
			logger.debug("The stop cut the start short.", error);
			return never;
		}
	}

	return {
		name: "OrderlyStop",

		created(broker) {
			// Moleculer ends the process after each call.
			const stop = broker.stop.bind(broker);
			broker.stop = () => (stopped ??= stop());
			// moleculer-runner ends the process with code 1 when this is rejected.
			const start = broker.start.bind(broker);
			broker.start = () => unlessStopped(start, broker);
		},

		serviceCreating(service, schema) {
			const hooks: Start[] = [schema.started ?? []].flat();
			schema.started = hooks.map(hook => () => unlessStopped(hook.bind(service), service));
		}
	};
}
