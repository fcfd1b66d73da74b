import type { ServiceSchema } from "moleculer";
import type { Transaction } from "sequelize";
import { BARRIER_RETENTION_MS, type BranchContext, barrier, purgeBarriers } from "./barrier.ts";
import { assertDatabase, type Database } from "./database.ts";
import { Housekeeping, purgeAll } from "./housekeeping.ts";
import { innermost } from "./lifecycle.ts";
import { registerMetrics } from "./metrics.ts";

const HOUR = 3_600_000;

/** Options of the mixin; times in milliseconds. */
export interface ParticipantOptions {
	/**
	 * How long barrier rows are kept: longer than any saga and any message of it may live. A branch of a saga that is a day
	 * short of it is no longer done where no row tells of its action. Default 14 days, at least 7.
	 */
	retention?: number;
	/** Between two runs of the retention job. Default an hour. */
	retentionInterval?: number;
}

/** What the mixin adds to `this` of a service. */
export interface ParticipantMethods {
	/** Runs a branch's work exactly once, in a transaction of its own. See `barrier`. */
	branch<T>(ctx: BranchContext, work: (transaction: Transaction) => Promise<T>): Promise<T | undefined>;
}

const WEEK = 7 * 24 * HOUR;

/**
 * Lets a service take part in sagas: `this.branch(ctx, work)` and the retention job of its barrier table. The service
 * needs `db` and `transaction`, see `Database`, when its other mixins have started, or it does not start.
 */
export function ParticipantMixin(options: ParticipantOptions = {}): Partial<ServiceSchema> {
	const { retention = BARRIER_RETENTION_MS, retentionInterval = HOUR } = options;
	if (retention < WEEK) throw new Error("Barrier rows must be kept for 7 days at least");
	return {
		methods: {
			branch<T>(this: Database, ctx: BranchContext, work: (transaction: Transaction) => Promise<T>) {
				return this.transaction(transaction => barrier(ctx, transaction, () => work(transaction), { retention }));
			}
		},

		...innermost<Database & { barrierRetention?: Housekeeping }>(
			function () {
				assertDatabase(this, "ParticipantMixin");
				registerMetrics(this.broker);
				const { db } = this;
				this.barrierRetention = new Housekeeping(error => this.logger.error("Barrier rows were not purged:", error));
				this.barrierRetention.every(retentionInterval, () => purgeAll(batch => purgeBarriers(db, retention, batch)));
			},
			function () {
				return this.barrierRetention?.stop();
			}
		)
	};
}
