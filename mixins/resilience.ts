import type { ActionHandler, ActionSchema, BrokerOptions, Middleware, ServiceBroker } from "moleculer";
import { type CallAction, Caller } from "./resilience/caller.ts";
import type { Policies, RetryRules } from "./resilience/policy.ts";
import { type BreakerRules, breaker, configure, judge, unlessLate } from "./resilience/served.ts";

export type { Policies, Policy, RetryRules } from "./resilience/policy.ts";
export type { BreakerRules } from "./resilience/served.ts";

/** Everything that is decided about calls between services. */
export interface ResilienceOptions {
	policies: Policies;
	retry: RetryRules;
	breaker: BreakerRules;
}

const RETRIES = "policy.retries.total";
const OVER_BUDGET = "policy.retries.denied.total";
const LATE = "policy.late.total";

/**
 * Turns a table of policies into what a broker needs: its option `circuitBreaker`, and the middleware that gives calls
 * their deadlines and retries, and actions their bulkheads. The middleware stands before all others of the broker. See
 * mixins/resilience/README.md.
 */
export function resilience({
	policies,
	retry,
	breaker: rules
}: ResilienceOptions): Pick<BrokerOptions, "circuitBreaker"> & { middleware: Middleware } {
	const byName = new Map(Object.entries(policies));
	let broker: ServiceBroker | undefined;
	const count = (metric: string, action: string) => broker?.metrics.increment(metric, { action });
	const caller = new Caller(retry, {
		retried: action => count(RETRIES, action),
		overBudget: action => count(OVER_BUDGET, action)
	});

	return {
		circuitBreaker: breaker(rules),
		middleware: {
			name: "Resilience",

			created(created) {
				// Two brokers with one of it would share its metrics and its budget of retries.
				if (broker) throw new Error("resilience() serves one broker: make another one for each");
				broker = created;
				registerMetrics(broker);
			},

			// moleculer's types say that it is called with every call, instead of once.
			call: ((call: CallAction): CallAction =>
				(action, params, options) => {
					const policy = byName.get(action);
					return policy ? caller.call(call, policy, action, params, options) : call(action, params, options);
				}) as unknown as NonNullable<Middleware["call"]>,

			remoteAction(next: ActionHandler, action: ActionSchema) {
				judge(action);
				return next;
			},

			localAction(next: ActionHandler, action: ActionSchema) {
				const name = action.name ?? "";
				const policy = byName.get(name);
				configure(action, policy);
				return policy?.bulkhead ? unlessLate(next, () => count(LATE, name)) : next;
			}
		}
	};
}

function registerMetrics({ metrics }: ServiceBroker): void {
	const counter = (name: string, description: string) =>
		metrics.register({ type: "counter", name, labelNames: ["action"], description });
	counter(RETRIES, "Calls that were made again after a failure");
	counter(OVER_BUDGET, "Calls that were not made again since the retry budget was used up");
	counter(LATE, "Calls that were not begun since their deadline had passed while they waited");
}
