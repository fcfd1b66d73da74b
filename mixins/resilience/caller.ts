import { setTimeout as delay } from "node:timers/promises";
import { ExponentialBackoff } from "cockatiel";
import type { CallingOptions, Context } from "moleculer";
import type { Policy, RetryRules } from "./policy.ts";
import { RetryBudget } from "./retry-budget.ts";

/** What `broker.call` gives back: moleculer finds the call's context on it. */
type Call = Promise<unknown> & { ctx?: Context };
export type CallAction = (action: string, params?: unknown, options?: CallingOptions) => Call;

/** An attempt that has less time than this is not begun, in milliseconds. */
const LEAST_TIME = 10;

/** What happened to calls, for metrics. */
export interface CallEvents {
	retried(action: string): void;
	/** A call that could have been repeated was not, since the budget is used up. */
	overBudget(action: string): void;
}

/** Makes calls by their policy: with a deadline, and again where that is allowed and pays. */
export class Caller {
	readonly #rules: RetryRules;
	readonly #budget: RetryBudget;
	readonly #pauses: ExponentialBackoff<never>;
	readonly #events: CallEvents;

	constructor(rules: RetryRules, events: CallEvents) {
		this.#rules = rules;
		this.#budget = new RetryBudget(rules.budget);
		this.#pauses = new ExponentialBackoff({ initialDelay: rules.pause.first, maxDelay: rules.pause.longest });
		this.#events = events;
	}

	/** @param next moleculer's own `broker.call` */
	call(next: CallAction, policy: Policy, action: string, params: unknown, options: CallingOptions = {}): Call {
		// A context of its own is a call that moleculer makes again.
		if (options.ctx) return next(action, params, options);
		if (!this.#mayRepeat(policy, options)) return next(action, params, within(options, policy.deadline));

		const deadline = shorter(options.timeout, policy.deadline);
		const started = performance.now();
		this.#budget.called();
		const first = next(action, params, within(options, shorter(policy.attempt, deadline)));
		const call: Call = first.catch(error => {
			const left = () => deadline - (performance.now() - started);
			return this.#repeat(error, left, policy, action, options, again => {
				const attempt = next(action, params, again);
				// moleculer reads it when the call is over: what was learnt about the request is that of the last attempt.
				if (attempt.ctx) call.ctx = attempt.ctx;
				return attempt;
			});
		});
		if (first.ctx) call.ctx = first.ctx;
		return call;
	}

	async #repeat(
		failure: unknown,
		left: () => number,
		{ attempt }: Policy,
		action: string,
		options: CallingOptions,
		again: (options: CallingOptions) => Call
	): Promise<unknown> {
		let error = failure;
		let pause = this.#pauses.next();
		for (let retry = 0; retry < this.#rules.retries; retry++) {
			if (!isRetryable(error) || left() - pause.duration < LEAST_TIME) break;
			if (!this.#budget.take()) {
				this.#events.overBudget(action);
				break;
			}
			await delay(pause.duration);
			this.#events.retried(action);
			try {
				return await again({ ...options, timeout: shorter(attempt, left()) });
			} catch (next) {
				error = next;
			}
			pause = pause.next(undefined);
		}
		throw error;
	}

	/** A caller who chose the node, forbade retries or sends a stream gets one attempt. */
	#mayRepeat({ retry }: Policy, { nodeID, retries, stream, parentCtx, meta }: CallingOptions): boolean {
		if (!retry || nodeID || retries === 0 || stream) return false;
		return retry === "always" || this.#rules.isKeyed({ ...parentCtx?.meta, ...meta });
	}
}

/** What may be right a moment later, or elsewhere. moleculer marks its own such errors; 503 says so by itself. */
function isRetryable(error: unknown): boolean {
	const { retryable, code } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>;
	return retryable === true || code === 503;
}

function shorter(given: number | null | undefined, limit: number): number {
	return given && given > 0 && given < limit ? given : limit;
}

/** The options with a timeout of at most `limit`. Those of a nested call are moleculer's own copy: they may be written to. */
function within(options: CallingOptions, limit: number): CallingOptions {
	const timeout = shorter(options.timeout, limit);
	if (timeout === options.timeout) return options;
	if (!options.parentCtx) return { ...options, timeout };
	options.timeout = timeout;
	return options;
}
