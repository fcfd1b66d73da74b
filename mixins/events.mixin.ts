import type { ServiceSchema } from "moleculer";
import { type AuditMethods, AuditMixin, type AuditOptions } from "./audit.mixin.ts";
import { throughChannels } from "./channels/publisher.ts";
import { traceHeaders } from "./channels/trace.ts";
import { type ChannelsMethods, ChannelsMixin, type ChannelsOptions } from "./channels.mixin.ts";
import { type OutboxMethods, OutboxMixin, type OutboxOptions } from "./outbox.mixin.ts";

/** Options of the mixin. */
export interface EventsOptions extends ChannelsOptions {
	audit: AuditOptions;
	outbox?: Omit<OutboxOptions, "publisher" | "headersOf">;
}

/** What the mixin adds to `this` of a service. */
export interface EventsMethods extends ChannelsMethods, OutboxMethods, AuditMethods {}

/**
 * Channels, outbox and audit records put together: the one line that a service with durable events needs. It stands
 * before the DB mixin in the service's list, since moleculer starts mixins from the end of the list.
 */
export function EventsMixin({ audit, outbox, ...channels }: EventsOptions): Partial<ServiceSchema> {
	return {
		mixins: [
			AuditMixin(audit),
			OutboxMixin({ publisher: throughChannels, headersOf: traceHeaders, ...outbox }),
			ChannelsMixin(channels)
		]
	};
}
