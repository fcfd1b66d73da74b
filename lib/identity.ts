import { errorTable } from "./errors.ts";

/** What a user may do beyond their own things. */
export type Role = "user" | "admin";

/** Who makes a request. Set in `ctx.meta.user` by the gateway after it has verified the token, and by nobody else. */
export interface Identity {
	id: number;
	role: Role;
	/** The login (refresh-token family) that the access token belongs to. */
	session_id: string;
}

/** What travels with every call of a request. */
export interface Meta {
	user?: Identity | null;
	/** What a client calls the request, so that it is carried out once however often it is sent. */
	idempotency_key?: string;
}

/** The refusals that any service may give for want of identity. */
export const identityError = errorTable({
	UNAUTHENTICATED: [401, "Authorization failed"],
	FORBIDDEN: [403, "Not allowed"]
});

/** The caller's identity. @throws UNAUTHENTICATED where the call carries none */
export function identityOf(ctx: { meta: Meta }): Identity {
	if (!ctx.meta.user) throw identityError("UNAUTHENTICATED");
	return ctx.meta.user;
}

/** Whose a call is and what its client calls it, where it was given a key. @throws UNAUTHENTICATED for a key of nobody */
export function idempotencyKeyOf(ctx: { meta: Meta }): { owner: string; key: string } | undefined {
	const key = ctx.meta.idempotency_key;
	return key === undefined ? undefined : { owner: String(identityOf(ctx).id), key };
}
