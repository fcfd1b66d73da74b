import type { ActionSchema, Context, Service, ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";
import { type AuditedObject, type AuditRule, recordOf } from "./audit/record.ts";
import type { OutboxMethods } from "./outbox.mixin.ts";

export type { AuditRecord, AuditRule } from "./audit/record.ts";

declare module "moleculer" {
	interface ActionSchema {
		/** What the audit log keeps of this action. Without it, the action leaves no trace there. */
		audit?: AuditRule;
	}
}

/** Options of the mixin. */
export interface AuditOptions {
	/** Where records are published. */
	stream: string;
	subject: string;
}

/** What the mixin adds to `this` of a service. */
export interface AuditMethods {
	/**
	 * Runs a change in a transaction that also records it: both are there afterwards, or neither.
	 * @param work the change; what it throws undoes it and is recorded as a refusal by itself
	 * @param describe what the change was about, from its result; null where nothing was changed, and nothing is recorded
	 * @param options `together`: in a transaction that others may share, for work that suits one (`this.together`)
	 */
	audited<T>(
		ctx: Context,
		work: (transaction: Transaction) => Promise<T>,
		describe?: (result: T) => AuditedObject | null,
		options?: { together?: boolean }
	): Promise<T>;
	/**
	 * Records a change in a transaction of the caller's: that of a saga's branch, say. Nothing else is recorded of the
	 * action, so it has no `audit` rule of its own.
	 */
	record(ctx: Context, transaction: Transaction, rule: AuditRule, about?: AuditedObject): Promise<void>;
}

type InTransaction = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

interface AuditService extends Service, OutboxMethods {
	transaction: InTransaction;
	together: InTransaction;
}

type ActionHandler = (ctx: Context) => Promise<unknown>;

/** Contexts whose change has been recorded in its own transaction. */
const recorded = new WeakSet<Context>();

/**
 * Records every action that has an `audit` rule: what was done in the transaction that did it (`this.audited`), what was
 * refused, for whatever reason, in a transaction of its own. A secret can not get into a record: of the parameters it
 * holds only those that the rule names. The service needs mixins/outbox.mixin.ts after it in the list of mixins, or it does
 * not start. See mixins/audit/README.md.
 */
export function AuditMixin({ stream, subject }: AuditOptions): Partial<ServiceSchema> {
	const write = (service: AuditService, transaction: Transaction, ctx: Context, payload: object) =>
		service.outbox.add(transaction, { stream, subject, payload }, ctx);

	/** Around all other middlewares: a refusal of the validator is a refusal. */
	const audit =
		(service: AuditService, rule: AuditRule, handler: ActionHandler): ActionHandler =>
		async ctx => {
			let result: unknown;
			try {
				result = await handler(ctx);
			} catch (error) {
				const record = recordOf(ctx, rule, { error });
				await service
					.transaction(transaction => write(service, transaction, ctx, record))
					.catch(failure => service.logger.error("A refusal could not be recorded", record, failure));
				throw error;
			}
			if (rule.only === "refusals" || recorded.has(ctx)) return result;
			await service.transaction(transaction => write(service, transaction, ctx, recordOf(ctx, rule, { result })));
			return result;
		};

	return {
		methods: {
			async audited<T>(
				this: Service,
				ctx: Context,
				work: (transaction: Transaction) => Promise<T>,
				describe: (result: T) => AuditedObject | null = () => ({}),
				{ together = false } = {}
			): Promise<T> {
				const service = this as AuditService;
				const rule = ctx.action?.audit;
				if (!rule) throw new Error(`Action '${ctx.action?.name}' has no audit rule`);
				const run = together ? service.together : service.transaction;
				const result = await run(async transaction => {
					const done = await work(transaction);
					const about = describe(done);
					if (about) await write(service, transaction, ctx, recordOf(ctx, rule, { about }));
					return done;
				});
				recorded.add(ctx);
				return result;
			},

			async record(this: Service, ctx: Context, transaction: Transaction, rule: AuditRule, about?: AuditedObject) {
				await write(this as AuditService, transaction, ctx, recordOf(ctx, rule, about && { about }));
			}
		},

		created() {
			const service = this as unknown as AuditService;
			// The last one that is added is the outermost one.
			service.broker.middlewares.add({
				name: `Audit of ${service.fullName}`,
				localAction: (handler: ActionHandler, action: ActionSchema) =>
					action.audit && action.service === this ? audit(service, action.audit, handler) : handler
			});
		},

		started() {
			if (!(this as Partial<OutboxMethods>).outbox)
				throw new Error(`Service '${this.name}': the audit mixin stands before the outbox mixin in the list of mixins`);
		}
	};
}
