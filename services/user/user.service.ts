import { randomBytes } from "node:crypto";
import type { Context, ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";
import { broadcast } from "../../lib/call.ts";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError, hasType } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { type AccessTokens, accessTokens } from "../../lib/tokens.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type ParticipantMethods, ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { type SagaMethods, SagaMixin } from "../../mixins/saga/saga.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { sessionModel } from "../../models/session.model.ts";
import { userModel } from "../../models/user.model.ts";
import * as contract from "./user.contract.ts";
import { userError } from "./user.contract.ts";
import { present, refreshToken, sessionIdOf, tokenHash } from "./user.domain.ts";
import { hashPassword, type PasswordCheck, passwordCheck } from "./user.passwords.ts";
import { answerOf, gidOfKey, registration } from "./user.registration.ts";
import { type SessionStore, type SessionTable, sessionStore } from "./user.sessions.ts";
import { type UserSecret, type UserStore, type UserTable, userStore } from "./user.store.ts";

interface UserMethods extends DbMethods<{ user: UserTable; session: SessionTable }>, SagaMethods, ParticipantMethods {
	userOfCredentials(credentials: contract.Credentials): Promise<UserSecret>;
	hashOfNewPassword(field: string, password: string): Promise<string>;
	openSession(user: UserSecret): Promise<contract.Tokens>;
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

/** How long a registration may keep its request waiting, in milliseconds. */
const REGISTRATION_WAIT_MS = 2_000;

const UserService: ServiceSchema<DbSettings, UserMethods, UserVars> = {
	name: "user",
	mixins: [
		RegistryMixin(),
		DbMixin({
			model: userModel,
			models: [sessionModel],
			migrator: migratorOf("user"),
			url: () => databaseUrl(env(), "user")
		}),
		ParticipantMixin(),
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

		reserve: {
			visibility: "public",
			params: contract.registrationOfUser,
			handler(ctx: Context<contract.Registration>) {
				return this.branch(ctx, transaction => this.users.reserve(ctx.params, transaction));
			}
		},

		release: {
			visibility: "public",
			params: contract.registrationOfUser,
			handler(ctx: Context<contract.Registration>) {
				return this.branch(ctx, transaction => this.users.release(ctx.params, transaction));
			}
		},

		activate: {
			visibility: "public",
			params: contract.userById,
			handler(ctx: Context<contract.UserById>) {
				return this.branch(ctx, tx => this.users.setStatus(ctx.params.user_id, "ACTIVE", tx));
			}
		},

		deactivate: {
			visibility: "public",
			params: contract.userById,
			handler(ctx: Context<contract.UserById>) {
				return this.branch(ctx, tx => this.users.setStatus(ctx.params.user_id, "PENDING", tx));
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
			async handler(ctx: Context<contract.Credentials>): Promise<contract.Tokens> {
				return this.openSession(await this.userOfCredentials(ctx.params));
			}
		},

		refresh: {
			params: contract.refreshSession,
			async handler(ctx: Context<contract.RefreshSession>): Promise<contract.Tokens> {
				const presented = ctx.params.refresh_token;
				const id = sessionIdOf(presented);
				if (!id) throw userError("REFRESH_REFUSED");

				const next = refreshToken(id, randomBytes(32));
				const session = await this.sessions.rotate(id, tokenHash(presented), renewal(next));
				if (session) return this.tokens(session.user_id, id, next);

				// A token that was good once and is not the current one was stolen, or its successor was: end the session.
				await this.endSession(ctx, id);
				throw userError("REFRESH_REFUSED");
			}
		},

		logout: {
			async handler(ctx: Context<undefined, Meta>): Promise<null> {
				await this.endSession(ctx, identityOf(ctx).session_id);
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
			if (!user || !matches) throw userError("WRONG_CREDENTIALS");
			return user;
		},

		async hashOfNewPassword(field, password) {
			const minimum = env().PASSWORD_MIN_LENGTH;
			if ([...password].length < minimum)
				throw fieldError(field, "stringMin", `The '${field}' field must be at least ${minimum} characters long.`);
			return hashPassword(password);
		},

		/** A password change ends the sessions that it sees, so that none may begin with the old password behind its back. */
		async openSession(user) {
			const id = randomBytes(16).toString("base64url");
			const token = refreshToken(id, randomBytes(32));
			await this.transaction(async transaction => {
				if (!(await this.users.hasPassword(user, transaction))) throw userError("WRONG_CREDENTIALS");
				await this.sessions.open({ id, user_id: user.id, ...renewal(token) }, transaction);
			});
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
			const ended = await this.transaction(async transaction => {
				await change(transaction);
				return this.sessions.revoke({ user_id: userId }, transaction);
			});
			await this.announceEnd(ctx, ended);
		},

		/** Tells the gateways, so that the access tokens of those sessions die at once too. */
		async announceEnd(ctx, session_ids) {
			if (session_ids.length > 0) await broadcast(ctx, "user.sessionsRevoked", { session_ids });
		}
	},

	created() {
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
