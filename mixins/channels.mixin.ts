import type { Service, ServiceSchema } from "moleculer";
import { Channels, type ChannelsMethods, type Platform } from "./channels/channels.ts";
import { assertServable } from "./channels/check-consumer.ts";
import { registerMetrics } from "./channels/metrics.ts";
import type { ProbePoint } from "./channels/observer.ts";
import { type ChannelHandler, ServedConsumer } from "./channels/served-consumer.ts";
import type { StoredMessage } from "./channels/transport.ts";

export type { ChannelsMethods } from "./channels/channels.ts";
export type { ChannelHandler, ChannelMessage } from "./channels/served-consumer.ts";

/** Options of the mixin. */
export interface ChannelsOptions extends Platform {
	/** How long a stopping service waits for its handlers, in milliseconds. Default 10 000. */
	patience?: number;
	/** For tests: see `Observer.probe`. */
	probe?: (point: ProbePoint, message: StoredMessage) => void | Promise<void>;
}

declare module "moleculer" {
	// The type parameters are moleculer's own: an interface is merged only under the same ones.
	interface ServiceSchema<
		TSettings = import("moleculer").ServiceSettingSchema,
		// biome-ignore lint/suspicious/noExplicitAny: moleculer's defaults, which a merged interface must repeat
		TMethods = Record<string, any>,
		// biome-ignore lint/suspicious/noExplicitAny: as above
		TVars = Record<string, any>,
		TThis = Service<TSettings> & TVars & TMethods
	> {
		/** Handlers of durable messages, by the name of their consumer. */
		channels?: Record<string, ChannelHandler<never, TThis>>;
	}
}

type ChannelsService = Service & ChannelsMethods;

/** What of a merged schema concerns us: moleculer has made lists of its lifecycle handlers. */
interface Merged {
	name: string;
	channels?: Record<string, ChannelHandler>;
	started?: Hook[];
	stopped?: Hook[];
}

type Hook = (this: Service) => unknown;

/**
 * Gives a service durable messages: `channels: { "<consumer>": async handler(ctx, message) }` in its schema, beside
 * `actions` and `events`, and `this.channels` to publish. Handlers run from the end of the service's `started` to the
 * beginning of its `stopped`. See mixins/channels/README.md.
 */
export function ChannelsMixin(options: ChannelsOptions): Partial<ServiceSchema> {
	const { consumers: definitions, patience = 10_000, probe } = options;
	const serving = new WeakMap<Service, ServedConsumer[]>();

	const schema: Partial<ServiceSchema> & { merged(merged: Merged): void } = {
		merged(merged) {
			const handlers = Object.entries(merged.channels ?? {}).map(([name, handler]) => {
				const definition = definitions.find(consumer => consumer.name === name);
				if (!definition) throw new Error(`Service '${merged.name}' handles '${name}', which is no consumer`);
				assertServable(definition, options.streams);
				return { definition, handler, probe };
			});

			const serve: Hook = function () {
				const { channels } = this as ChannelsService;
				serving.set(
					this,
					handlers.map(handler => new ServedConsumer({ service: this, channels, ...handler }))
				);
			};
			const stopServing: Hook = async function () {
				await Promise.all((serving.get(this) ?? []).map(consumer => consumer.stop(patience)));
			};
			// Last in both lists: it starts after all else, and stops first, since moleculer runs `stopped` from its end.
			merged.started = [merged.started ?? [], serve].flat();
			merged.stopped = [merged.stopped ?? [], stopServing].flat();
		},

		started() {
			registerMetrics(this.broker);
			this.channels = new Channels(options, this.logger);
		},

		async stopped() {
			await (this as Partial<ChannelsMethods>).channels?.close();
		}
	};
	return schema;
}
