import type { Actions } from "../../lib/call.ts";
import type { Role } from "../../lib/identity.ts";

type Schema = Readonly<Record<string, unknown>>;

/** One route of the HTTP API. */
export interface RouteDefinition {
	method: "GET" | "POST" | "PUT" | "DELETE";
	path: string;
	action: keyof Actions;
	summary: string;
	/** Whether a verified access token is needed. */
	auth: boolean;
	/** Who may call it, where a token alone is not enough. */
	role?: Role;
	/** The schema that the action validates its parameters with. */
	params?: Schema;
	/** Optional parameters of which one is needed. */
	anyOf?: readonly string[];
	/** The parameter that is a new password, as long as `PASSWORD_MIN_LENGTH` asks for. */
	newPassword?: string;
	/** What stands in the envelope's `data`; nothing means null. */
	result?: Schema;
	/** The body of a 503 of the action's own making, where it is not the envelope. */
	unavailable?: Schema;
	/** Refusals of its own, beside those of every route, of `auth` (401) and of `role` (403). */
	errors?: readonly (401 | 403 | 404 | 409)[];
	/** Status of success, 200 by default. */
	status?: 201;
	/** Where a created thing is found. */
	location?: (data: Readonly<Record<string, unknown>>) => string;
	/** What is answered instead where the result's `status` is "pending". */
	pending?: { status: 202; result: Schema; location: (data: Readonly<Record<string, unknown>>) => string };
	/** Whether a header `Idempotency-Key` makes repetitions one request. */
	idempotent?: true;
	/** Whether a form body is accepted beside JSON. */
	form?: true;
	/** "none": the result is the body as it is. "tokens": the result's tokens also stand at the top level. */
	envelope?: "none" | "tokens";
	/** false: requests are not traced and logged at "debug" only, since machines ask all day. */
	traced?: false;
	/** false: answered however much there is to do, since an operator or a load balancer asks whether the gateway serves. */
	shed?: false;
	/** Whether load balancers ask it all day: requests count towards no limit. */
	probe?: true;
	/** Whether requests count towards the stricter limit that guards passwords. */
	guarded?: true;
	/**
	 * Whose password is tried: the one that the parameter `username` names, the signed-in user's, or that of the request
	 * which an Idempotency-Key says is repeated. Wrong ones are backed off from.
	 */
	attempt?: "username" | "user" | "key";
}

/** The service that answers a route. */
export function serviceOf({ action }: Pick<RouteDefinition, "action">): string {
	return action.slice(0, action.indexOf("."));
}

/** The methods that routes answer to. HEAD goes with GET. */
export function methodsOf(routes: readonly RouteDefinition[]): string[] {
	return routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
}
