import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { AUDIT, platform } from "../../lib/streams.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type EventsMethods, EventsMixin } from "../../mixins/events.mixin.ts";
import { branchOf } from "../../mixins/saga/barrier.ts";
import { type ParticipantMethods, ParticipantMixin } from "../../mixins/saga/participant.mixin.ts";
import { migratorOf } from "../../models/migrator.ts";
import { accountModel } from "../../models/points-account.model.ts";
import { entryModel } from "../../models/points-entry.model.ts";
import * as contract from "./points.contract.ts";
import { DEFAULT_LIMIT, historyCursors, present } from "./points.domain.ts";
import { type AccountTable, type Change, type EntryTable, type PointsStore, pointsStore } from "./points.store.ts";

interface PointsMethods
	extends DbMethods<{ account: AccountTable; entry: EntryTable }>,
		EventsMethods,
		ParticipantMethods {
	/** A saga's branch that changes an account and records it in one transaction. */
	bookBranch(ctx: Context<contract.ChangePoints, Meta>, change: Change): Promise<contract.Balance | undefined>;
}

interface PointsVars {
	points: PointsStore;
}

/** What the audit log keeps of a change; a repetition changes nothing. */
const recorded = { object: "points", id: "user_id", details: ["points", "reference"] } as const;

const PointsService: ServiceSchema<DbSettings, PointsMethods, PointsVars> = {
	name: "points",
	mixins: [
		RegistryMixin(),
		EventsMixin({ ...platform, audit: AUDIT }),
		DbMixin({
			model: entryModel,
			models: [accountModel],
			migrator: migratorOf("points"),
			url: () => databaseUrl(env(), "points"),
			connection: { onStatement: observeStatement }
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
			audit: { ...recorded, only: "refusals" },
			handler(ctx: Context<contract.ChangePoints, Meta>) {
				return this.bookBranch(ctx, { ...ctx.params, kind: "grant", reference: branchOf(ctx).gid });
			}
		},

		revoke: {
			visibility: "public",
			params: contract.changePoints,
			audit: { ...recorded, only: "refusals" },
			handler(ctx: Context<contract.ChangePoints, Meta>) {
				const { user_id, points } = ctx.params;
				return this.bookBranch(ctx, { user_id, points: -points, kind: "revoke", reference: branchOf(ctx).gid });
			}
		},

		spend: {
			visibility: "public",
			params: contract.spendPoints,
			audit: { ...recorded, only: "refusals" },
			handler(ctx: Context<contract.SpendPoints, Meta>): Promise<contract.Balance> {
				const { points, ...rest } = ctx.params;
				const change = { ...rest, points: -points, kind: "spend" } as const;
				return this.points.bookOnce(change, book => this.audited(ctx, book));
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
				const before = historyCursors.placeOf(cursor)?.id;
				const rows = await this.points.page(identityOf(ctx).id, before, limit + 1);
				const { page, next_cursor } = historyCursors.page(rows, limit);
				return { entries: page.map(present), next_cursor };
			}
		}
	},

	methods: {
		bookBranch(ctx, change) {
			return this.branch(ctx, async transaction => {
				const balance = await this.points.book(change, transaction);
				// A branch runs for the user whose account it is, where its saga began without one: a registration.
				await this.record(ctx, transaction, recorded, { user_id: change.user_id });
				return balance;
			});
		}
	},

	started() {
		this.points = pointsStore(this.models.account, this.models.entry);
	}
};

export default PointsService;
