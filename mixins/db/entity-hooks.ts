import type { Context, Service } from "moleculer";

/** The parameters, the meta and the rows are what the service says that they are. */
type HookContext = Context<never, never>;

/** Sees what a generic action is about to write, or the parameters of `update` and `remove`, and answers what to take instead. */
export type BeforeEntityHook<This = unknown> = (
	this: This,
	entity: never,
	ctx: HookContext
) => object | Promise<object>;

/** Sees the answer of a generic action that has written, many rows of one `insert` as a list, and Sequelize's rows behind it. */
export type EntityHook<This = unknown> = (this: This, entity: never, ctx: HookContext, rows: never) => unknown;

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
		/** Called at start, when the database has answered and the models are there. */
		afterConnected?(this: TThis): unknown;
		beforeEntityCreate?: BeforeEntityHook<TThis>;
		beforeEntityUpdate?: BeforeEntityHook<TThis>;
		beforeEntityRemove?: BeforeEntityHook<TThis>;
		entityCreated?: EntityHook<TThis>;
		entityUpdated?: EntityHook<TThis>;
		entityRemoved?: EntityHook<TThis>;
	}
}
