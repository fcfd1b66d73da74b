import type { ActionSchema, Context, ServiceSchema } from "moleculer";
import { assertDatabase } from "./database.ts";
import type { Saga } from "./definition.ts";
import { innermost } from "./lifecycle.ts";
import { type SagaHost, type SagaSettings, Sagas } from "./sagas.ts";
import { sagaParams } from "./schemas.ts";
import type { SagaStatus } from "./state.ts";

/** Options of the mixin. */
export interface SagaOptions extends Partial<SagaSettings> {
	/** The sagas that the service begins, older versions that may still be under way included. */
	definitions: readonly Saga[];
	/** Names who intervenes, for the timeline. The calling node where not given. */
	actor?: (ctx: { meta: object; nodeID: string | null }) => string;
	/** What an audit log keeps of an intervention: the `audit` rule of `retry`, `skip` and `fail`. */
	audit?: ActionSchema extends { audit?: infer Rule extends object } ? Rule : object;
}

/** What the mixin adds to `this` of a service. */
export interface SagaMethods {
	/** The service's sagas, from `started` on. */
	sagas: Sagas;
}

interface Target {
	gid: string;
	reason: string;
}

/**
 * Makes a service the owner of sagas: `this.sagas.run(definition, ...)`, a coordinator that goes on with what any
 * process left, the retention job, and the actions `saga.list`, `saga.get`, `saga.retry`, `saga.skip`, `saga.fail` and
 * `saga.outcome` behind the service's name, published, so that a gateway may route to them.
 *
 * The service needs `db` and `transaction`, see `Database`, when its other mixins have started, or it does not start. Its
 * branches must be in place then too: coordinators begin to call them.
 */
export function SagaMixin({ definitions, actor, audit, ...settings }: SagaOptions): Partial<ServiceSchema> {
	const by = (ctx: Context<Target>) => ({
		...ctx.params,
		actor: actor?.(ctx) ?? ctx.nodeID ?? "unknown"
	});
	return {
		actions: {
			"saga.list": {
				visibility: "published",
				params: sagaParams.list,
				async handler(ctx: Context<{ status?: SagaStatus; attention?: boolean; limit?: number }>) {
					const { limit = 50, ...filter } = ctx.params;
					return { sagas: await this.sagas.operator.list({ ...filter, limit }) };
				}
			},
			"saga.get": {
				visibility: "published",
				params: sagaParams.get,
				handler(ctx: Context<Target>) {
					return this.sagas.operator.show(ctx.params.gid);
				}
			},
			"saga.outcome": {
				visibility: "published",
				params: sagaParams.get,
				async handler(ctx: Context<Target>) {
					const { gid, status, reason } = await this.sagas.outcome(ctx.params.gid);
					// The message may tell about our inside; the type is made for clients.
					return { gid, status, reason: reason?.type ?? null };
				}
			},
			"saga.retry": {
				...(audit && { audit }),
				visibility: "published",
				params: sagaParams.retry,
				async handler(ctx: Context<Target>): Promise<null> {
					await this.sagas.operator.retry(by(ctx));
					return null;
				}
			},
			"saga.skip": {
				...(audit && { audit }),
				visibility: "published",
				params: sagaParams.skip,
				async handler(ctx: Context<Target & { step: string }>): Promise<null> {
					await this.sagas.operator.skip({ ...by(ctx), step: ctx.params.step });
					return null;
				}
			},
			"saga.fail": {
				...(audit && { audit }),
				visibility: "published",
				params: sagaParams.fail,
				async handler(ctx: Context<Target>): Promise<null> {
					await this.sagas.operator.fail(by(ctx));
					return null;
				}
			}
		},

		...innermost<SagaHost & SagaMethods>(
			function () {
				assertDatabase(this, "SagaMixin");
				this.sagas = new Sagas(this, definitions, settings);
				this.sagas.start();
			},
			function () {
				return this.sagas?.stop();
			}
		)
	};
}
