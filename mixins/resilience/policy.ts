/** How an action is called and served. Times are in milliseconds. */
export interface Policy {
	/** By when a call must be answered, all attempts together; a caller who has less time left gives that. */
	deadline: number;
	/** How long one attempt may take: a node that hangs leaves time for another one. Default: the deadline. */
	attempt?: number;
	/** Which calls may be made again after a failure: all, since the action is idempotent, or those with a key. Default: none. */
	retry?: "always" | "keyed";
	/** How many calls a node works on at once, and how many may wait; more are refused (503). Default: no bound. */
	bulkhead?: Bulkhead;
}

export interface Bulkhead {
	atOnce: number;
	waiting: number;
}

/** Policies by action name. Other actions have the broker's `requestTimeout`, and nothing else. */
export type Policies = Readonly<Record<string, Policy>>;

/** When calls are made again. */
export interface RetryRules {
	/** Attempts after the first one. */
	retries: number;
	/** Pauses between attempts: they grow from the first to the longest, and are random (decorrelated jitter). */
	pause: { first: number; longest: number };
	budget: BudgetRules;
	/** Whether a call carries a key that makes its repetitions one. */
	isKeyed: (meta: object) => boolean;
}

export interface BudgetRules {
	/** Retries per call, e.g. 0.1. */
	share: number;
	/** Retries a second that are there in any case: little traffic would never earn one. */
	perSecond: number;
	/** Retries that can be saved up. */
	most: number;
}
