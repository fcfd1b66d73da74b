import { errorTable } from "./errors.ts";

/** Who makes a request. Set in `ctx.meta.user` by the gateway after it has verified the token, and by nobody else. */
export interface Identity {
	id: number;
	/** The login (refresh-token family) that the access token belongs to. */
	session_id: string;
}

/** What travels with every call of a request. */
export interface Meta {
	user?: Identity | null;
}

/** The refusals that any service may give for want of identity. */
export const identityError = errorTable({
	UNAUTHENTICATED: [401, "Authorization failed"]
});

/** The caller's identity. @throws UNAUTHENTICATED where the call carries none */
export function identityOf(ctx: { meta: Meta }): Identity {
	if (!ctx.meta.user) throw identityError("UNAUTHENTICATED");
	return ctx.meta.user;
}
