import DataLoader from "dataloader";
import type { Context, ServiceSchema } from "moleculer";
import { databaseUrl, env } from "../../lib/env.ts";
import { fieldError } from "../../lib/errors.ts";
import { identityOf, type Meta } from "../../lib/identity.ts";
import { observeStatement } from "../../lib/observability/statements.ts";
import { type Message, platform } from "../../lib/streams.ts";
import { type ChannelMessage, type ChannelsMethods, ChannelsMixin } from "../../mixins/channels.mixin.ts";
import { type DbMethods, DbMixin, type DbSettings } from "../../mixins/db.mixin.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { auditEntryModel } from "../../models/audit-entry.model.ts";
import { auditHeadModel } from "../../models/audit-head.model.ts";
import { migratorOf } from "../../models/migrator.ts";
import * as contract from "./audit.contract.ts";
import { auditError } from "./audit.contract.ts";
import { auditCursors, type ChainedFact, DEFAULT_LIMIT, factOf, present } from "./audit.domain.ts";
import { GapWatch } from "./audit.gaps.ts";
import { type AuditEntryTable, type AuditHeadTable, type AuditStore, auditStore } from "./audit.store.ts";
import { verdictsOf } from "./audit.verify.ts";

interface AuditServiceMethods
	extends DbMethods<{ auditEntry: AuditEntryTable; auditHead: AuditHeadTable }>,
		ChannelsMethods {}

interface AuditVars {
	entries: AuditStore;
	/** Appends the facts that come at the same time in one transaction. */
	appending: DataLoader<ChainedFact, boolean>;
	gaps: GapWatch;
}

/** The source of what never reached an action: gateways have no outbox, the log numbers their facts itself. */
const GATEWAY = "api";

const AuditService: ServiceSchema<DbSettings, AuditServiceMethods, AuditVars> = {
	name: "audit",
	mixins: [
		RegistryMixin(),
		ChannelsMixin(platform),
		DbMixin({
			model: auditEntryModel,
			models: [auditHeadModel],
			migrator: migratorOf("audit"),
			url: () => databaseUrl(env(), "audit"),
			connection: { onStatement: observeStatement }
		})
	],

	actions: {
		// The log is written by the stream only, and read by its own list only.
		create: false,
		insert: false,
		update: false,
		remove: false,
		find: false,
		count: false,
		get: false,

		list: {
			visibility: "published",
			params: contract.listAudit,
			async handler(ctx: Context<contract.ListAudit, Meta>): Promise<contract.AuditPage> {
				const { cursor, limit = DEFAULT_LIMIT, from, to, ...filter } = ctx.params;
				const { id, role } = identityOf(ctx);
				if (role !== "admin" && filter.user_id !== undefined && filter.user_id !== id)
					throw auditError("AUDIT_NOT_YOURS");
				const rows = await this.entries.page({
					...filter,
					...(role !== "admin" && { user_id: id }),
					from: milliseconds(from),
					to: milliseconds(to),
					after: auditCursors.placeOf(cursor),
					limit: limit + 1
				});
				const { page, next_cursor } = auditCursors.page(rows, limit);
				return { entries: page.map(present), next_cursor };
			}
		},

		refused: {
			visibility: "public",
			params: contract.refusedRequests,
			async handler(ctx: Context<{ refusals: contract.RefusedRequests }>): Promise<null> {
				for (const { event_id, record, count, address } of ctx.params.refusals) {
					const details = { ...record.details, count, address };
					const fact = factOf({ ...record, details }, { id: event_id, source: GATEWAY, sequence: 0 });
					await this.transaction(transaction => this.entries.appendNext(fact, transaction));
				}
				return null;
			}
		},

		verify: {
			visibility: "public",
			params: contract.verifyAudit,
			async handler(ctx: Context<contract.VerifyAudit>): Promise<contract.AuditVerdict[]> {
				const { source, anchor } = ctx.params;
				if (anchor && source === undefined)
					throw fieldError("source", "required", "The 'source' field is required: an anchor is of one source.");

				return verdictsOf(this.entries, ctx.params);
			}
		}
	},

	channels: {
		async "audit-log"(ctx: Context<Message<"audit.recorded">>, { id, headers }: ChannelMessage) {
			const fact = factOf(ctx.params, { id, source: headers.source ?? "", sequence: Number(headers["source-seq"]) });
			await this.appending.load(fact);
		}
	},

	started() {
		this.entries = auditStore(this.db, this.models.auditEntry, this.models.auditHead);
		const append = (facts: readonly ChainedFact[]) =>
			this.transaction(transaction => this.entries.append(facts, transaction));
		this.appending = new DataLoader(append, { cache: false });
		this.gaps = new GapWatch(this.entries, this.broker, this.logger);
	},

	stopped() {
		this.gaps?.stop();
	}
};

function milliseconds(time: string | undefined): number | undefined {
	return time === undefined ? undefined : Date.parse(time);
}

export default AuditService;
