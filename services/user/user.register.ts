import type { Context } from "moleculer";
import { hasType } from "../../lib/errors.ts";
import type { Meta } from "../../lib/identity.ts";
import * as contract from "./user.contract.ts";
import { userError } from "./user.contract.ts";
import { answerOf, registration } from "./user.registration.ts";
import { userPart } from "./user.schema.ts";

/** How long a registration may keep its request waiting, in milliseconds. */
const WAIT_MS = 2_000;

const audit = { object: "user", details: ["username"] } as const;

/** `user.register` and the user service's branches of its saga; see `user.registration.ts`. */
export const RegisterActions = userPart({
	actions: {
		register: {
			params: contract.registerUser,
			// A registration that was done is recorded by the branch that completes it.
			audit: { ...audit, only: "refusals" },
			async handler(ctx: Context<contract.RegisterUser, Meta>) {
				const { username, password } = ctx.params;
				const key = ctx.meta.idempotency_key;
				const password_hash = await this.hashOfNewPassword("password", password);
				const saga = await this.sagas
					.run(registration, {
						gid: key && this.registrationId(username, key),
						payload: { username, password_hash },
						// A hash is another one each time.
						fingerprint: { username },
						wait: WAIT_MS,
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
				return this.branch(ctx, async transaction => {
					await this.users.release(ctx.params, transaction);
					await this.record(ctx, transaction, audit);
				});
			}
		},

		activate: {
			visibility: "public",
			params: contract.reservedUser,
			handler(ctx: Context<contract.ReservedUser>) {
				const { user_id } = ctx.params;
				return this.branch(ctx, async transaction => {
					await this.users.setStatus(user_id, "ACTIVE", transaction);
					await this.record(ctx, transaction, { ...audit, action: "user.register" }, { id: user_id, user_id });
				});
			}
		},

		deactivate: {
			visibility: "public",
			params: contract.reservedUser,
			async handler(ctx: Context<contract.ReservedUser>) {
				const { user_id } = ctx.params;
				const ended = await this.branch(ctx, async transaction => {
					await this.users.setStatus(user_id, "PENDING", transaction);
					await this.record(ctx, transaction, audit, { id: user_id, user_id });
					// Who was active for a moment may have logged in.
					return this.sessions.revoke({ user_id }, transaction);
				});
				await this.announceEnd(ctx, ended ?? []);
			}
		}
	}
});
