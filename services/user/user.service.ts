import { randomBytes } from "node:crypto";
import type { Context, ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";
import { broadcast } from "../../lib/call.ts";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError, hasType } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { count, register } from "../../lib/observability/instruments.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { AUDIT, platform } from "../../lib/streams.ts";
import { type AccessTokens, accessTokens } from "../../lib/tokens.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type EventsMethods, EventsMixin } from "../../mixins/events.mixin.ts";
import { type ParticipantMethods, ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { type SagaMethods, SagaMixin } from "../../mixins/saga/saga.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { sessionModel } from "../../models/session.model.ts";
import { userModel } from "../../models/user.model.ts";
import { RegistrationBranches } from "./user.branches.ts";
import * as contract from "./user.contract.ts";
import { userError } from "./user.contract.ts";
import { present, refreshToken, sessionIdOf, tokenHash } from "./user.domain.ts";
import { hashPassword, type PasswordCheck, passwordCheck } from "./user.passwords.ts";
import { answerOf, gidOfKey, registration } from "./user.registration.ts";
import { type SessionStore, type SessionTable, sessionStore } from "./user.sessions.ts";
import { type UserSecret, type UserStore, type UserTable, userStore } from "./user.store.ts";

interface UserMethods
	extends DbMethods<{ user: UserTable; session: SessionTable }>,
		EventsMethods,
		SagaMethods,
		ParticipantMethods {
	userOfCredentials(credentials: contract.Credentials): Promise<UserSecret>;
	hashOfNewPassword(field: string, password: string): Promise<string>;
	openSession(ctx: Context, user: UserSecret): Promise<contract.Tokens>;
	tokens(userId: number, sessionId: string, refresh: string): Promise<contract.Tokens>;
	endSession(ctx: Context, id: string): Promise<void>;
	changeAndEndSessions(
		ctx: Context,
		userId: number,
		change: (transaction: Transaction) => Promise<void>
	): Promise<void>;
	announceEnd(ctx: Context, session_ids: string[]): Promise<void>;
}

interface UserVars {
	users: UserStore;
	sessions: SessionStore;
	accessTokens: AccessTokens;
	passwordMatches: PasswordCheck;
}

const LOGIN_FAILURES = "user.login.failures.total";
/** How long a registration may keep its request waiting, in milliseconds. */
const REGISTRATION_WAIT_MS = 2_000;

const UserService: ServiceSchema<DbSettings, UserMethods, UserVars> = {
	name: "user",
	mixins: [
		RegistryMixin(),
		EventsMixin({ ...platform, audit: AUDIT }),
		DbMixin({
			model: userModel,
			models: [sessionModel],
			migrator: migratorOf("user"),
			url: () => databaseUrl(env(), "user"),
			connection: { onStatement: observeStatement }
		}),
		ParticipantMixin(),
		RegistrationBranches,
		SagaMixin({ definitions: [registration], actor: operatorOf })
	],
	settings: { fields: ["id", "username", "avatar"] },

	actions: {
		// Generic writes would bypass hashing and the rules of names.
		create: false,
		insert: false,
		update: false,
		remove: false,

		register: {
			params: contract.registerUser,
			audit: {
				object: "user",
				details: ["username"],
				describe: (answer: object) =>
					"user_id" in answer ? { id: Number(answer.user_id), user_id: Number(answer.user_id) } : {}
			},
			async handler(ctx: Context<contract.RegisterUser, Meta>) {
				const { username, password } = ctx.params;
				const key = ctx.meta.idempotency_key;
				const password_hash = await this.hashOfNewPassword("password", password);
				const saga = await this.sagas
					.run(registration, {
						gid: key && gidOfKey(key),
						payload: { username, password_hash },
						// A hash is another one each time.
						fingerprint: { username },
						wait: REGISTRATION_WAIT_MS,
						ctx
					})
					.catch(error => {
						throw hasType(error, "SAGA_OTHER_PAYLOAD") ? userError("IDEMPOTENCY_KEY_REUSED") : error;
					});
				const isSame = saga.isNew || (await this.passwordMatches(saga.payload.password_hash, password));
				if (!isSame) throw userError("IDEMPOTENCY_KEY_REUSED");
				return answerOf(saga);
			}
		},

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
					// A token that was good once and is not the current one was stolen, or its successor was: end the session.
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

		me: {
			async handler(ctx: Context<undefined, Meta>): Promise<contract.User> {
				const [user] = await this.users.findMany([identityOf(ctx).id]);
				if (!user) throw userError("USER_NOT_FOUND");
				return present(user);
			}
		},

		changePassword: {
			params: contract.changePassword,
			audit: { object: "user" },
			async handler(ctx: Context<contract.ChangePassword, Meta>): Promise<null> {
				const { old_password, new_password } = ctx.params;
				const { id } = identityOf(ctx);
				const user = await this.users.passwordOfId(id);
				const matches = await this.passwordMatches(user?.password_hash, old_password);
				if (!user || !matches) throw userError("WRONG_CREDENTIALS");

				const passwordHash = await this.hashOfNewPassword("new_password", new_password);
				await this.changeAndEndSessions(ctx, id, transaction =>
					this.users.setPassword(user, passwordHash, transaction)
				);
				return null;
			}
		},

		setRole: {
			visibility: "public",
			params: contract.setRole,
			audit: { object: "user", id: "user_id", details: ["role"] },
			async handler(ctx: Context<contract.SetRole>): Promise<null> {
				const { user_id, role } = ctx.params;
				await this.changeAndEndSessions(ctx, user_id, async transaction => {
					if (!(await this.users.setRole(user_id, role, transaction))) throw userError("USER_NOT_FOUND");
				});
				return null;
			}
		},

		mget: {
			visibility: "public",
			params: contract.manyUsers,
			async handler(ctx: Context<contract.ManyUsers>): Promise<contract.User[]> {
				return (await this.users.findMany(ctx.params.user_ids)).map(present);
			}
		},

		revokedSessions: {
			visibility: "public",
			params: contract.revokedSince,
			async handler(ctx: Context<contract.RevokedSince>): Promise<string[]> {
				return this.sessions.revokedSince(new Date(Date.now() - ctx.params.seconds * 1000));
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

		async hashOfNewPassword(field, password) {
			const minimum = env().PASSWORD_MIN_LENGTH;
			if ([...password].length < minimum)
				throw fieldError(field, "stringMin", `The '${field}' field must be at least ${minimum} characters long.`);
			return hashPassword(password);
		},

		/** A password change ends the sessions that it sees, so that none may begin with the old password behind its back. */
		async openSession(ctx, user) {
			const id = randomBytes(16).toString("base64url");
			const token = refreshToken(id, randomBytes(32));
			await this.audited(
				ctx,
				async transaction => {
					if (!(await this.users.hasPassword(user, transaction))) throw userError("WRONG_CREDENTIALS");
					await this.sessions.open({ id, user_id: user.id, ...renewal(token) }, transaction);
				},
				() => ({ id: user.id, user_id: user.id })
			);
			await this.sessions.forget(user.id, new Date(Date.now() - env().ACCESS_TOKEN_SECONDS * 1000));
			return this.tokens(user.id, id, token);
		},

		async tokens(userId, sessionId, refresh) {
			const identity = { id: userId, role: await this.users.roleOf(userId), session_id: sessionId };
			const { token, expiresAt } = await this.accessTokens.sign(identity, env().ACCESS_TOKEN_SECONDS);
			return { user_id: userId, token, expire: new Date(expiresAt).toISOString(), refresh_token: refresh };
		},

		async endSession(ctx, id) {
			await this.announceEnd(ctx, await this.sessions.revoke({ id }));
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
		async announceEnd(ctx, session_ids) {
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
		this.accessTokens = accessTokens(signingKeys(env()));
	},

	async started() {
		this.users = userStore(this.models.user);
		this.sessions = sessionStore(this.models.session);
		this.passwordMatches = await passwordCheck();
	}
};

/** Who intervenes in a saga. */
function operatorOf({ meta, nodeID }: { meta: Meta; nodeID: string | null }): string {
	return meta.user ? `user ${meta.user.id}` : `node ${nodeID}`;
}

/** What a session's row holds of a refresh token. */
function renewal(token: string) {
	return { token_hash: tokenHash(token), expires_at: new Date(Date.now() + env().REFRESH_TOKEN_SECONDS * 1000) };
}

export default UserService;
