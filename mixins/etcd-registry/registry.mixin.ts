import type { Service, ServiceSchema } from "moleculer";
import { EtcdDiscoverer } from "./discoverer.ts";
import { isWeight } from "./keys.ts";

export interface RegistryMixinOptions {
	/** Share of the calls relative to other nodes of the service, 0 or more. Default 100. */
	weight?: number;
	/** Version shown in the registry and used by version filters; the service's `version` by default. */
	version?: string | number;
	/** Port the service listens on, if it does. */
	port?: number;
	/** Anything others may want to know; added to the service schema's `metadata`. */
	metadata?: Record<string, unknown>;
}

const DEFAULT_WEIGHT = 100;

/** moleculer calls `merged` with the schema after all mixins are applied; its types do not know that yet. */
export type RegistryMixinSchema = Partial<ServiceSchema> & { merged(schema: ServiceSchema): void };

/**
 * Service mixin: shows the service in etcd. `started` ends when its key is committed, after the service's own
 * `started`; `stopped` begins with the withdrawal, callers get time to notice, requests in progress end, and only then
 * does the service's own `stopped` run. With a broker that has another discoverer it does nothing.
 *
 * @throws Error when the weight is not a number of 0 or more
 */
export function RegistryMixin(options: RegistryMixinOptions = {}): RegistryMixinSchema {
	const { weight = DEFAULT_WEIGHT } = options;
	if (!isWeight(weight)) throw new Error(`A weight is a number of 0 or more, not ${JSON.stringify(weight)}`);

	async function register(this: Service): Promise<void> {
		const { discoverer } = this.broker.registry;
		if (!(discoverer instanceof EtcdDiscoverer) || !this.broker.transit) return;
		await discoverer.registrar.publishService({
			name: this.name,
			version: this.version,
			...(options.version === undefined ? {} : { release: options.version }),
			...(options.port === undefined ? {} : { port: options.port }),
			weight,
			metadata: { ...this.schema.metadata, ...options.metadata }
		});
	}

	async function withdraw(this: Service): Promise<void> {
		const { discoverer } = this.broker.registry;
		if (!(discoverer instanceof EtcdDiscoverer) || !this.broker.transit) return;
		await discoverer.registrar.withdrawService(this.name, this.version, this.fullName);
	}

	return {
		// moleculer runs `started` in order and `stopped` in reverse: last in both is last up and first down.
		merged(schema: ServiceSchema): void {
			Object.assign(schema, {
				started: [schema.started ?? [], register].flat(),
				stopped: [schema.stopped ?? [], withdraw].flat()
			});
		}
	};
}
