import type { Context, ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";
import * as contract from "./user.contract.ts";

/** The user service's branches of a registration; see `user.registration.ts`. */
export const RegistrationBranches: Partial<ServiceSchema> = {
	actions: {
		reserve: {
			visibility: "public",
			params: contract.registrationOfUser,
			handler(ctx: Context<contract.Registration>) {
				return this.branch(ctx, (transaction: Transaction) => this.users.reserve(ctx.params, transaction));
			}
		},

		release: {
			visibility: "public",
			params: contract.registrationOfUser,
			handler(ctx: Context<contract.Registration>) {
				return this.branch(ctx, (transaction: Transaction) => this.users.release(ctx.params, transaction));
			}
		},

		activate: {
			visibility: "public",
			params: contract.userById,
			handler(ctx: Context<contract.UserById>) {
				return this.branch(ctx, (transaction: Transaction) =>
					this.users.setStatus(ctx.params.user_id, "ACTIVE", transaction)
				);
			}
		},

		deactivate: {
			visibility: "public",
			params: contract.userById,
			handler(ctx: Context<contract.UserById>) {
				return this.branch(ctx, (transaction: Transaction) =>
					this.users.setStatus(ctx.params.user_id, "PENDING", transaction)
				);
			}
		}
	}
};
