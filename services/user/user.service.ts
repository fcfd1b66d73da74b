import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { AUDIT, platform } from "../../lib/streams.ts";
import { accessTokens } from "../../lib/tokens.ts";
import { DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { EventsMixin } from "../../mixins/events.mixin.ts";
import { ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { SagaMixin } from "../../mixins/saga/saga.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { sessionModel } from "../../models/session.model.ts";
import { userModel } from "../../models/user.model.ts";
import * as contract from "./user.contract.ts";
import { userError } from "./user.contract.ts";
import { present } from "./user.domain.ts";
import { Logins } from "./user.logins.ts";
import { hashPassword, passwordCheck } from "./user.passwords.ts";
import { RegisterActions } from "./user.register.ts";
import { registration, registrationIds } from "./user.registration.ts";
import type { UserMethods, UserVars } from "./user.schema.ts";
import { sessionStore } from "./user.sessions.ts";
import { userStore } from "./user.store.ts";

/** What the audit log keeps of an intervention in a saga; the saga's own timeline has it too. */
const intervention = { object: "saga", id: "gid", details: ["reason", "step"] } as const;

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
		RegisterActions,
		Logins,
		SagaMixin({ definitions: [registration], actor: operatorOf, audit: intervention })
	],
	settings: { fields: ["id", "username", "avatar"] },

	actions: {
		// Generic writes would bypass hashing and the rules of names.
		create: false,
		insert: false,
		update: false,
		remove: false,

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

		byName: {
			visibility: "public",
			params: contract.userByName,
			async handler(ctx: Context<contract.UserByName>): Promise<contract.User | null> {
				const user = await this.users.findByName(ctx.params.username);
				return user && present(user);
			}
		},

		mget: {
			visibility: "public",
			params: contract.manyUsers,
			async handler(ctx: Context<contract.ManyUsers>): Promise<contract.User[]> {
				return (await this.users.findMany(ctx.params.user_ids)).map(present);
			}
		}
	},

	methods: {
		async hashOfNewPassword(field, password) {
			const minimum = env().PASSWORD_MIN_LENGTH;
			if ([...password].length < minimum)
				throw fieldError(field, "stringMin", `The '${field}' field must be at least ${minimum} characters long.`);
			return hashPassword(password);
		}
	},

	created() {
		const keys = signingKeys(env());
		this.accessTokens = accessTokens(keys);
		this.registrationId = registrationIds(keys);
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

export default UserService;
