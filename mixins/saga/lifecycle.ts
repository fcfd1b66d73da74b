import type { Service, ServiceSchema } from "moleculer";

type Hook<Own = object> = (this: Service & Own) => Promise<void> | void;

interface Hooks {
	started?: Hook | Hook[];
	stopped?: Hook | Hook[];
}

/**
 * Lets a mixin start when all else in its service has started, its database above all, and stop before all else stops.
 * Moleculer runs the list of `started` from its beginning, and that of `stopped` from its end.
 */
export function innermost<Own extends object>(start: Hook<Own>, stop: Hook<Own>): Partial<ServiceSchema> {
	const merging: { merged(schema: Hooks): void } = {
		merged(schema) {
			schema.started = [...[schema.started ?? []].flat(), start as Hook];
			schema.stopped = [...[schema.stopped ?? []].flat(), stop as Hook];
		}
	};
	return merging as unknown as Partial<ServiceSchema>;
}
