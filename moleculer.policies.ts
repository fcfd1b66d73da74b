import type { Policies, ResilienceOptions } from "./mixins/resilience.ts";

/** Of a request as a whole, and of actions without a row, in milliseconds. */
export const REQUEST_DEADLINE = 10_000;

/*
 * How each action is called and served; docs/operations.md tells why. Times are milliseconds.
 *
 * - A deadline is of the whole call. What is left of it travels with every call further down, so that a row's deadline
 *   only counts where it is the shorter one, and nothing is begun that nobody waits for any more.
 * - Only what is idempotent is called again, or what carries an Idempotency-Key ("keyed"). Writes without a key never are.
 * - Passwords cost 20 to 50 ms of a core each: few at once, so that they do not take it from everybody else.
 * - A service's bulkhead is wide enough to keep its pool of 10 connections busy; whatever queues must still meet its deadline.
 */
const read = { deadline: 5_000, attempt: 2_000, retry: "always", bulkhead: { atOnce: 32, waiting: 256 } } as const;
const write = { deadline: 5_000, bulkhead: { atOnce: 32, waiting: 256 } } as const;
const password = { deadline: 5_000, bulkhead: { atOnce: 4, waiting: 32 } } as const;

const policies: Policies = {
	"note.query": read,
	"note.get": read,
	"note.mget": read,
	"note.create": { ...write, attempt: 2_000, retry: "keyed" },
	"note.update": write,
	"note.remove": write,

	"user.mget": { ...read, deadline: 1_000, attempt: 500 },
	"user.me": read,
	"user.revokedSessions": { ...read, deadline: 2_000, attempt: 1_000 },
	"user.login": password,
	"user.check": password,
	"user.changePassword": password,
	// It waits for its saga, up to 2 s while a participant is away; its hash is made by one of four threads in any case.
	"user.register": { ...write, retry: "keyed" },
	"user.refresh": write,
	"user.logout": write,

	"points.balance": read,
	"points.history": read,
	"audit.list": read
};

/** What is decided about calls between services, in one place. */
export const resiliencePolicies: ResilienceOptions = {
	policies,
	retry: {
		retries: 2,
		pause: { first: 20, longest: 500 },
		// A tenth of the calls may be made again. Little traffic has 5 retries a second nonetheless.
		budget: { share: 0.1, perSecond: 5, most: 50 },
		isKeyed: meta => "idempotency_key" in meta && meta.idempotency_key !== undefined
	},
	// Per action and node. Timeouts are counted by the registry, which leaves a hung node alone as a whole.
	breaker: { threshold: 0.5, calls: 20, seconds: 10, pause: 1_000 }
};
