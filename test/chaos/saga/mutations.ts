import { type Transaction, UniqueConstraintError } from "sequelize";
import { type BranchContext, barrier, branchOf } from "../../../mixins/saga/barrier.ts";
import type { Database } from "../../../mixins/saga/database.ts";
import { clockOf } from "../../../mixins/saga/database.ts";
import type { SagaState } from "../../../mixins/saga/state.ts";
import type { SagaStore } from "../../../mixins/saga/store.ts";

/** Bugs that the matrix has to see. They are put around the library, which knows nothing of them. */
export const mutations = {
	"no-barrier": "participants do what they are asked for, without a barrier",
	"barrier-apart": "the barrier row is written in a transaction of its own",
	"null-unrecognised": "a compensation does not look whether its action ever came",
	"failed-kept": "steps that failed or whose outcome is unknown are not taken back",
	"no-epoch": "writes do not compare the epoch",
	"epoch-reread": "an owner takes the epoch that it finds in the row for its own"
} as const;

export type Mutation = keyof typeof mutations;

type Work = (transaction: Transaction) => Promise<unknown>;

/** How a participant runs a branch, right or wrong. */
export async function runBranch(
	database: Database,
	ctx: BranchContext,
	work: Work,
	mutation?: Mutation
): Promise<void> {
	await database.transaction(async transaction => {
		if (mutation === "no-barrier") return work(transaction);
		if (mutation === "barrier-apart") {
			let isFirst = false;
			await database.transaction(apart =>
				barrier(ctx, apart, async () => {
					isFirst = true;
				})
			);
			return isFirst ? work(transaction) : undefined;
		}
		const { op } = branchOf(ctx);
		if (mutation !== "null-unrecognised" || op === "action") return barrier(ctx, transaction, () => work(transaction));
		return (await isNew(database, ctx, transaction)) ? work(transaction) : undefined;
	});
}

async function isNew({ db }: Database, ctx: BranchContext, transaction: Transaction): Promise<boolean> {
	const { gid, step, op } = branchOf(ctx);
	try {
		await db.query(
			`INSERT INTO saga_barrier (gid, step, op, site, origin, created_at)
			VALUES ($gid, $step, $op, '', $op, ${clockOf(db).now})`,
			{ transaction, bind: { gid, step, op } }
		);
		return true;
	} catch (error) {
		if (error instanceof UniqueConstraintError) return false;
		throw error;
	}
}

/** The store, right or wrong. */
export function mutatedStore(store: SagaStore, mutation?: Mutation): SagaStore {
	if (mutation === "failed-kept") {
		const forget = (saga: SagaState | null) => {
			for (const step of saga?.steps ?? []) if (step.action !== "succeed") step.compensation = "skipped";
		};
		return {
			...store,
			async abort(saga, ...rest) {
				await store.abort(saga, ...rest);
				forget(saga);
			},
			async claim(...args) {
				const saga = await store.claim(...args);
				if (saga?.status === "aborting") forget(saga);
				return saga;
			}
		};
	}
	if (mutation !== "no-epoch") return store;
	const current = async (saga: SagaState) => ({ ...saga, epoch: (await store.find(saga.gid))?.epoch ?? saga.epoch });
	return {
		...store,
		actionDone: async (saga, ...rest) => store.actionDone(await current(saga), ...rest),
		compensated: async (saga, ...rest) => store.compensated(await current(saga), ...rest),
		delay: async (saga, ...rest) => store.delay(await current(saga), ...rest),
		abort: async (saga, ...rest) => store.abort(await current(saga), ...rest),
		finish: async (saga, ...rest) => store.finish(await current(saga), ...rest),
		release: async (saga, ...rest) => store.release(await current(saga), ...rest)
	};
}
