import type { BudgetRules } from "./policy.ts";

/**
 * Bounds retries to a share of the calls, so that a fault is not answered with a multiple of the load (B. Beyer et al.,
 * "Site Reliability Engineering", chapter 21; the shape is that of Finagle's RetryBudget). A token bucket: each call and
 * each second put something in, each retry takes one out.
 */
export class RetryBudget {
	readonly #rules: BudgetRules;
	readonly #now: () => number;
	#tokens: number;
	#filledAt: number;

	/** @param now milliseconds of a clock that never goes back */
	constructor(rules: BudgetRules, now: () => number = () => performance.now()) {
		this.#rules = rules;
		this.#now = now;
		this.#tokens = rules.most;
		this.#filledAt = now();
	}

	/** A call is made. */
	called(): void {
		this.#add(this.#rules.share);
	}

	/** Takes a retry. @returns whether there was one left */
	take(): boolean {
		const now = this.#now();
		this.#add(((now - this.#filledAt) / 1000) * this.#rules.perSecond);
		this.#filledAt = now;
		if (this.#tokens < 1) return false;
		this.#tokens--;
		return true;
	}

	#add(tokens: number): void {
		this.#tokens = Math.min(this.#rules.most, this.#tokens + tokens);
	}
}
