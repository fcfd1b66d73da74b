import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { branchOf } from "../../mixins/saga/barrier.ts";
import { type ParticipantMethods, ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { accountModel } from "../../models/points-account.model.ts";
import { entryModel } from "../../models/points-entry.model.ts";
import * as contract from "./points.contract.ts";
import { cursorAfter, DEFAULT_LIMIT, idOfCursor, present } from "./points.domain.ts";
import { type AccountTable, type EntryTable, type PointsStore, pointsStore } from "./points.store.ts";

type PointsMethods = DbMethods<{ account: AccountTable; entry: EntryTable }> & ParticipantMethods;

interface PointsVars {
	points: PointsStore;
}

const PointsService: ServiceSchema<DbSettings, PointsMethods, PointsVars> = {
	name: "points",
	mixins: [
		RegistryMixin(),
		DbMixin({
			model: entryModel,
			models: [accountModel],
			migrator: migratorOf("points"),
			url: () => databaseUrl(env(), "points")
		}),
		ParticipantMixin()
	],
	settings: { fields: ["id", "user_id", "kind", "points", "balance", "created_at"] },

	actions: {
		// The ledger is added to through the actions below and never changed.
		create: false,
		insert: false,
		update: false,
		remove: false,

		grant: {
			visibility: "public",
			params: contract.changePoints,
			handler(ctx: Context<contract.ChangePoints, Meta>) {
				const change = { ...ctx.params, kind: "grant", reference: branchOf(ctx).gid } as const;
				return this.branch(ctx, transaction => this.points.book(change, transaction));
			}
		},

		revoke: {
			visibility: "public",
			params: contract.changePoints,
			handler(ctx: Context<contract.ChangePoints, Meta>) {
				const { user_id, points } = ctx.params;
				const change = { user_id, points: -points, kind: "revoke", reference: branchOf(ctx).gid } as const;
				return this.branch(ctx, transaction => this.points.book(change, transaction));
			}
		},

		spend: {
			visibility: "public",
			params: contract.spendPoints,
			handler(ctx: Context<contract.SpendPoints>): Promise<contract.Balance> {
				const { points, ...rest } = ctx.params;
				return this.points.bookOnce({ ...rest, points: -points, kind: "spend" });
			}
		},

		balance: {
			visibility: "published",
			async handler(ctx: Context<undefined, Meta>): Promise<contract.Balance> {
				return { balance: await this.points.balanceOf(identityOf(ctx).id) };
			}
		},

		history: {
			visibility: "published",
			params: contract.queryHistory,
			async handler(ctx: Context<contract.QueryHistory, Meta>): Promise<contract.History> {
				const { cursor, limit = DEFAULT_LIMIT } = ctx.params;
				const before = cursor === undefined ? undefined : idOfCursor(cursor);
				if (before === null) throw fieldError("cursor", "cursor", "The 'cursor' field is not a cursor of this list.");

				// One row more than asked for tells whether there is a next page.
				const rows = await this.points.page(identityOf(ctx).id, before, limit + 1);
				const page = rows.slice(0, limit);
				const last = rows.length > limit ? page.at(-1) : undefined;
				return { entries: page.map(present), next_cursor: last ? cursorAfter(last) : null };
			}
		}
	},

	started() {
		this.points = pointsStore(this.models.account, this.models.entry, work => this.transaction(work));
	}
};

export default PointsService;
