import { randomBytes } from "node:crypto";
import type { Context } from "moleculer";
import type { Transaction } from "sequelize";
import { broadcast } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { hasType } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { count, register } from "../../lib/observability/instruments.ts";
import * as contract from "./user.contract.ts";
import { userError } from "./user.contract.ts";
import { refreshToken, sessionIdOf, tokenHash } from "./user.domain.ts";
import { userPart } from "./user.schema.ts";
import type { EndedSession } from "./user.sessions.ts";
import type { UserSecret } from "./user.store.ts";

interface LoginMethods {
	userOfCredentials(credentials: contract.Credentials): Promise<UserSecret>;
	openSession(ctx: Context, user: UserSecret): Promise<contract.Tokens>;
	tokens(userId: number, sessionId: string, refresh: string): Promise<contract.Tokens>;
	endSession(ctx: Context, id: string): Promise<void>;
}

/** Logins of one user that are good at the same time; with one more, the one ends that was not used for longest. */
const MOST_SESSIONS = 100;
/** Recorded of the user whose login was ended for it. */
const REUSED = { object: "session", action: "user.refresh.reused" } as const;
const LOGIN_FAILURES = "user.login.failures.total";

/** The user service's sessions: they begin with a password, go on with refresh tokens, and end. */
export const Logins = userPart<LoginMethods>({
	actions: {
		check: {
			visibility: "public",
			params: contract.credentials,
			async handler(ctx: Context<contract.Credentials>) {
				const user = await this.userOfCredentials(ctx.params);
				return { user_id: user.id };
			}
		},

		login: {
			params: contract.credentials,
			audit: { object: "session", details: ["username"] },
			async handler(ctx: Context<contract.Credentials>): Promise<contract.Tokens> {
				return this.openSession(ctx, await this.userOfCredentials(ctx.params));
			}
		},

		refresh: {
			params: contract.refreshSession,
			audit: { object: "session" },
			async handler(ctx: Context<contract.RefreshSession>): Promise<contract.Tokens> {
				const presented = ctx.params.refresh_token;
				const id = sessionIdOf(presented);
				if (!id) throw userError("REFRESH_REFUSED");

				const next = refreshToken(id, randomBytes(32));
				const renewed = async (transaction: Transaction) => {
					const session = await this.sessions.rotate(id, tokenHash(presented), renewal(next), transaction);
					if (!session) throw userError("REFRESH_REFUSED");
					return session;
				};
				try {
					const session = await this.audited(ctx, renewed, ({ user_id }) => ({ id: user_id, user_id }));
					return await this.tokens(session.user_id, id, next);
				} catch (error) {
					// Who names a session without its current token has one that was good before, or guesses: either was stolen, so it ends.
					if (hasType(error, "REFRESH_REFUSED")) {
						await this.endSession(ctx, id);
						count(this.broker, LOGIN_FAILURES, { reason: "refresh" });
					}
					throw error;
				}
			}
		},

		logout: {
			audit: { object: "session" },
			async handler(ctx: Context<undefined, Meta>): Promise<null> {
				const { id: userId, session_id: id } = identityOf(ctx);
				const ended = await this.audited(
					ctx,
					transaction => this.sessions.revoke({ id }, transaction),
					() => ({ id: userId })
				);
				await this.announceEnd(ctx, ended);
				return null;
			}
		},

		revokedSessions: {
			visibility: "public",
			params: contract.revokedSince,
			async handler(ctx: Context<contract.RevokedSince>): Promise<string[]> {
				const { seconds, after = "" } = ctx.params;
				const since = new Date(Date.now() - seconds * 1000);
				return this.sessions.revokedSince(since, { after, limit: contract.MOST_REVOKED });
			}
		}
	},

	methods: {
		async userOfCredentials({ username, password }) {
			const user = await this.users.passwordOfName(username);
			const matches = await this.passwordMatches(user?.password_hash, password);
			if (!user || !matches) {
				count(this.broker, LOGIN_FAILURES, { reason: "credentials" });
				throw userError("WRONG_CREDENTIALS");
			}
			return user;
		},

		/** A password change ends the sessions that it sees, so that none may begin with the old password behind its back. */
		async openSession(ctx, user) {
			const id = randomBytes(16).toString("base64url");
			const token = refreshToken(id, randomBytes(32));
			const ended = await this.audited(
				ctx,
				async transaction => {
					if (!(await this.users.hasPassword(user, transaction))) throw userError("WRONG_CREDENTIALS");
					await this.sessions.open({ id, user_id: user.id, ...renewal(token) }, transaction);
					return this.sessions.revoke({ user_id: user.id }, transaction, MOST_SESSIONS);
				},
				() => ({ id: user.id, user_id: user.id })
			);
			await this.announceEnd(ctx, ended);
			await this.sessions.forget(user.id, new Date(Date.now() - env().ACCESS_TOKEN_SECONDS * 1000));
			return this.tokens(user.id, id, token);
		},

		async tokens(userId, sessionId, refresh) {
			const identity = { id: userId, role: await this.users.roleOf(userId), session_id: sessionId };
			const { token, expiresAt } = await this.accessTokens.sign(identity, env().ACCESS_TOKEN_SECONDS);
			return { user_id: userId, token, expire: new Date(expiresAt).toISOString(), refresh_token: refresh };
		},

		/** The refusal itself is recorded without a user: nobody knows who it was. */
		async endSession(ctx, id) {
			const ended = await this.transaction(async transaction => {
				const sessions = await this.sessions.revoke({ id }, transaction);
				for (const { user_id } of sessions) await this.record(ctx, transaction, REUSED, { id: user_id, user_id });
				return sessions;
			});
			await this.announceEnd(ctx, ended);
		},

		/** A change after which no earlier login may go on: both happen, or neither. */
		async changeAndEndSessions(ctx, userId, change) {
			const ended = await this.audited(
				ctx,
				async transaction => {
					await change(transaction);
					return this.sessions.revoke({ user_id: userId }, transaction);
				},
				() => ({ id: userId })
			);
			await this.announceEnd(ctx, ended);
		},

		/** Tells the gateways, so that the access tokens of those sessions die at once too. */
		async announceEnd(ctx, ended: readonly EndedSession[]) {
			const session_ids = ended.map(({ id }) => id);
			if (session_ids.length > 0) await broadcast(ctx, "user.sessionsRevoked", { session_ids });
		}
	},

	created() {
		register(this.broker, [
			{
				type: "counter",
				name: LOGIN_FAILURES,
				description: "Refused logins: wrong name or password, or a refresh token that was used before",
				labelNames: ["reason"],
				known: [{ reason: "credentials" }, { reason: "refresh" }]
			}
		]);
	}
});

/** What a session's row holds of a refresh token. */
function renewal(token: string) {
	return { token_hash: tokenHash(token), expires_at: new Date(Date.now() + env().REFRESH_TOKEN_SECONDS * 1000) };
}
