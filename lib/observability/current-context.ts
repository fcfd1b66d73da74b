import { AsyncLocalStorage } from "node:async_hooks";
import type { Context, Middleware } from "moleculer";

const contexts = new AsyncLocalStorage<Context>();

type MessageHandler = (ctx: Context, message: unknown) => Promise<void>;

/** The context of the action, event or message handler that is running, wherever in its call tree the asker is. */
export function currentContext(): Context | undefined {
	return contexts.getStore();
}

/** Runs `work` as if it were part of a handler: for what happens after the handler has failed. */
export function inContext<T>(ctx: Context | undefined, work: () => T): T {
	return ctx ? contexts.run(ctx, work) : work();
}

/** Makes the context of each local handler of actions, events and durable messages known to {@link currentContext}. */
export const contextMiddleware: Middleware & { localChannel(next: MessageHandler): MessageHandler } = {
	name: "CurrentContext",

	localAction(next) {
		return ctx => contexts.run(ctx, next, ctx);
	},

	localEvent(next) {
		return ctx => contexts.run(ctx, next, ctx);
	},

	localChannel(next) {
		return (ctx, message) => contexts.run(ctx, next, ctx, message);
	}
};
