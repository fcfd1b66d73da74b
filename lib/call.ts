import type { CallingOptions, Context } from "moleculer";

/**
 * Every action of the platform with its parameters and result. Empty on purpose: each `*.contract.ts` adds its own
 * rows by declaration merging. (`Context.call` itself cannot be narrowed: merging adds overloads, the loose one wins.)
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging in the contracts
export interface Actions {}

/** Every broker event with its payload; filled like {@link Actions}. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging in the contracts
export interface Events {}

type Row<A extends keyof Actions> = Actions[A] extends { params: infer P; result: infer R }
	? { params: P; result: R }
	: never;

/** The parameters of an action; an action without parameters is declared with `params: undefined`. */
export type Params<A extends keyof Actions> = Row<A>["params"];
/** What an action resolves to. */
export type Result<A extends keyof Actions> = Row<A>["result"];

interface Caller {
	call: (action: string, params?: unknown, options?: CallingOptions) => Promise<unknown>;
}

/**
 * Calls an action with checked name, parameters and result.
 * @param via the `ctx` inside handlers (keeps trace and meta), the broker elsewhere
 * @param action full action name, e.g. `"note.create"`
 * @param rest the parameters (none for `params: undefined`) and moleculer's calling options
 */
export function call<A extends keyof Actions>(
	via: Pick<Context, "call"> | Caller,
	action: A,
	...rest: Params<A> extends undefined
		? [params?: undefined, options?: CallingOptions]
		: [params: Params<A>, options?: CallingOptions]
): Promise<Result<A>> {
	return (via as Caller).call(action, rest[0], rest[1]) as Promise<Result<A>>;
}

interface Broadcaster {
	broadcast: (event: string, payload?: unknown) => Promise<unknown>;
}

/** Sends an event to every listening node, with checked name and payload. Fire and forget: resolves although nobody listens. */
export function broadcast<E extends keyof Events>(via: Broadcaster, event: E, payload: Events[E]): Promise<unknown> {
	return via.broadcast(event, payload);
}
