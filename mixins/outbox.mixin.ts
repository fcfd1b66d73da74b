import type { ServiceSchema } from "moleculer";
import {
	Outbox,
	type OutboxMethods,
	type OutboxOptions,
	type OutboxService,
	registerMetrics
} from "./outbox/outbox.ts";

export type { Fact, OutboxMethods, OutboxOptions } from "./outbox/outbox.ts";

/**
 * Gives a service an outbox: `this.outbox.add(transaction, fact)`, the relay that publishes, and the actions `outbox`
 * (what waits), `republish` and `retryFailed`, all `visibility: "public"`. The service needs `this.db` and
 * `this.transaction` (mixins/db.mixin.ts) and the tables of mixins/outbox/README.md.
 */
export function OutboxMixin(options: OutboxOptions): Partial<ServiceSchema> {
	return {
		actions: {
			outbox: {
				visibility: "public",
				handler() {
					return this.outbox.backlog();
				}
			},
			republish: {
				visibility: "public",
				async handler() {
					await this.outbox.republish();
					return null;
				}
			},
			retryFailed: {
				visibility: "public",
				handler() {
					return this.outbox.retryFailed();
				}
			}
		},

		started() {
			registerMetrics(this.broker);
			this.outbox = new Outbox(this as unknown as OutboxService, options);
		},

		async stopped() {
			await (this as Partial<OutboxMethods>).outbox?.stop();
		}
	};
}
