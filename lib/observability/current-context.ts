import { AsyncLocalStorage } from "node:async_hooks";
import type { Context, Middleware } from "moleculer";

const contexts = new AsyncLocalStorage<Context>();

/** The context of the action or event handler that is running, wherever in its call tree the asker is. */
export function currentContext(): Context | undefined {
	return contexts.getStore();
}

/** Runs `work` as if it were part of a handler: for what happens after the handler has failed. */
export function inContext<T>(ctx: Context | undefined, work: () => T): T {
	return ctx ? contexts.run(ctx, work) : work();
}

/** Makes the context of each local action and event handler known to {@link currentContext}. */
export const contextMiddleware: Middleware = {
	name: "CurrentContext",

	localAction(next) {
		return ctx => contexts.run(ctx, next, ctx);
	},

	localEvent(next) {
		return ctx => contexts.run(ctx, next, ctx);
	}
};
