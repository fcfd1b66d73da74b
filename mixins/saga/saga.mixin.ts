import type { Context, ServiceSchema } from "moleculer";
import type { Saga } from "./definition.ts";
import { type SagaHost, type SagaSettings, Sagas } from "./sagas.ts";
import type { SagaStatus } from "./state.ts";

/** Options of the mixin. */
export interface SagaOptions extends Partial<SagaSettings> {
	/** The sagas that the service begins, older versions that may still be under way included. */
	definitions: readonly Saga[];
	/** Names who intervenes, for the timeline. The calling node where not given. */
	actor?: (ctx: Context<never, never>) => string;
}

/** What the mixin adds to `this` of a service. */
export interface SagaMethods {
	/** The service's sagas, from `started` on. */
	sagas: Sagas;
}

const gid = { type: "string", min: 1, max: 64 } as const;
const reason = { type: "string", min: 1, max: 500 } as const;
const list = {
	$$strict: true,
	status: { type: "enum", values: ["submitted", "aborting", "succeed", "failed"], optional: true },
	attention: { type: "boolean", convert: true, optional: true },
	limit: { type: "number", integer: true, min: 1, max: 500, convert: true, optional: true }
} as const;

/** The parameters of the mixin's actions, for a route table. */
export const sagaParams = {
	list,
	get: { $$strict: true, gid },
	retry: { $$strict: true, gid, reason },
	skip: { $$strict: true, gid, step: { type: "string", min: 1, max: 64 }, reason },
	fail: { $$strict: true, gid, reason }
} as const;

interface Target {
	gid: string;
	reason: string;
}

/**
 * Makes a service the owner of sagas: `this.sagas.run(definition, ...)`, a coordinator that goes on with what any
 * process left, the retention job, and the actions `saga.list`, `saga.get`, `saga.retry`, `saga.skip`, `saga.fail` and
 * `saga.outcome` behind the service's name, all `visibility: "public"`.
 *
 * The service needs `db` and `transaction`, see `Database`, from before this mixin's `started` on: list the DB mixin
 * first.
 */
export function SagaMixin({ definitions, actor, ...settings }: SagaOptions): Partial<ServiceSchema> {
	const by = (ctx: Context<Target>) => ({
		...ctx.params,
		actor: actor?.(ctx as unknown as Context<never, never>) ?? ctx.nodeID ?? "unknown"
	});
	return {
		actions: {
			"saga.list": {
				visibility: "public",
				params: list,
				async handler(ctx: Context<{ status?: SagaStatus; attention?: boolean; limit?: number }>) {
					const { limit = 50, ...filter } = ctx.params;
					return { sagas: await this.sagas.operator.list({ ...filter, limit }) };
				}
			},
			"saga.get": {
				visibility: "public",
				params: sagaParams.get,
				handler(ctx: Context<Target>) {
					return this.sagas.operator.show(ctx.params.gid);
				}
			},
			"saga.outcome": {
				visibility: "public",
				params: sagaParams.get,
				async handler(ctx: Context<Target>) {
					const { gid, status, reason } = await this.sagas.outcome(ctx.params.gid);
					// The message may tell about our inside; the type is made for clients.
					return { gid, status, reason: reason?.type ?? null };
				}
			},
			"saga.retry": {
				visibility: "public",
				params: sagaParams.retry,
				async handler(ctx: Context<Target>): Promise<null> {
					await this.sagas.operator.retry(by(ctx));
					return null;
				}
			},
			"saga.skip": {
				visibility: "public",
				params: sagaParams.skip,
				async handler(ctx: Context<Target & { step: string }>): Promise<null> {
					await this.sagas.operator.skip({ ...by(ctx), step: ctx.params.step });
					return null;
				}
			},
			"saga.fail": {
				visibility: "public",
				params: sagaParams.fail,
				async handler(ctx: Context<Target>): Promise<null> {
					await this.sagas.operator.fail(by(ctx));
					return null;
				}
			}
		},

		started() {
			this.sagas = new Sagas(this as unknown as SagaHost, definitions, settings);
			this.sagas.start();
		},

		stopped() {
			return this.sagas?.stop();
		}
	};
}
