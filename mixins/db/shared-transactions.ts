import { AsyncResource } from "node:async_hooks";
import type { Sequelize, Transaction } from "sequelize";
import { isRetryable, runInTransaction } from "./transaction.ts";

/** The most that share a transaction. */
const MOST = 32;
/** How many shared transactions run at once, the others only when so many wait that they are full. */
const AT_ONCE = 4;
/** How long a shared transaction keeps others waiting, in milliseconds: one that hangs must not hold everybody up. */
const PATIENCE_MS = 50;

type Work = (transaction: Transaction) => Promise<unknown>;

interface Job extends Pick<PromiseWithResolvers<unknown>, "resolve" | "reject"> {
	work: Work;
	/** Whose work it is, for traces and logs. */
	context: AsyncResource;
}

/**
 * Group commit: functions that are given while others' transactions are on their way share the next one, so that under
 * load many are begun and committed by one round trip each. Who is alone waits for nobody.
 *
 * A function that throws undoes the shared transaction, and then each of them runs again in a transaction of its own:
 * nobody sees another's failure. It suits short work that hardly ever fails and waits for no row that somebody else may
 * hold, such as inserts.
 */
export class SharedTransactions {
	readonly #db: Sequelize;
	readonly #waiting: Job[] = [];
	#running = 0;
	/** When the last one was begun, in milliseconds of this process. */
	#begun = 0;
	#timer: NodeJS.Timeout | undefined;

	constructor(db: Sequelize) {
		this.#db = db;
	}

	/**
	 * Runs a function in a transaction, perhaps together with others; the rules of `runInTransaction` hold, and it may run
	 * at the same time as another one on the same connection.
	 */
	run<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
		// Not AsyncResource.bind(): what such a function refers to outlives V8's minor collections, most likely by the hidden class
		// of the properties that it is given. Under load each collection then copied the requests of the last seconds.
		const context = new AsyncResource("SharedTransaction");
		const { promise, resolve, reject } = Promise.withResolvers<unknown>();
		this.#waiting.push({
			work: transaction => context.runInAsyncScope(work, undefined, transaction),
			context,
			resolve,
			reject
		});
		this.#next();
		return promise as Promise<T>;
	}

	#next(): void {
		const isFree = this.#running === 0 || performance.now() - this.#begun > PATIENCE_MS;
		if (this.#running === AT_ONCE || this.#waiting.length < (isFree ? 1 : MOST)) {
			if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#lookAgain(), PATIENCE_MS + 1);
			return;
		}
		this.#running++;
		this.#begun = performance.now();
		const jobs = this.#waiting.splice(0, MOST);
		const [first] = jobs as [Job];
		// Begin and commit are the first one's, and not those of whoever's transaction was before.
		const ended = first.context.runInAsyncScope(() => (jobs.length === 1 ? this.#alone(first) : this.#together(jobs)));
		void ended.finally(() => {
			this.#running--;
			this.#next();
		});
	}

	#lookAgain(): void {
		this.#timer = undefined;
		this.#next();
	}

	async #together(jobs: readonly Job[]): Promise<void> {
		let step = "begin" as "begin" | "work" | "commit";
		try {
			const results = await this.#db.transaction(async transaction => {
				step = "work";
				const settled = await Promise.allSettled(jobs.map(({ work }) => work(transaction)));
				const values = settled.map(outcome => {
					if (outcome.status === "rejected") throw outcome.reason;
					return outcome.value;
				});
				step = "commit";
				return values;
			});
			for (const [i, { resolve }] of jobs.entries()) resolve(results[i]);
		} catch (error) {
			// Without a beginning it is nobody's own failure. Whether a commit that failed came to pass nobody knows: what was done
			// must not be done twice.
			if (step === "work" || isRetryable(error)) await Promise.all(jobs.map(job => this.#alone(job)));
			else for (const { reject } of jobs) reject(error);
		}
	}

	#alone({ work, resolve, reject }: Job): Promise<void> {
		return runInTransaction(this.#db, work).then(resolve, reject);
	}
}
