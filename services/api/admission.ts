import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import type { Env } from "../../lib/env.ts";
import { fold } from "../../lib/fold.ts";
import { count, gauge, register } from "../../lib/observability/instruments.ts";
import { redisOptions } from "../../lib/server-options.ts";
import { clientAddress } from "./client-address.ts";
import { type Count, type Limit, type LimitEvents, rateLimits, refuseBeyond } from "./rate-limit.ts";
import type { RouteDefinition } from "./route.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A try of a secret that has been counted as wrong until it is known not to be. */
export interface Attempt {
	/** The secret was right: nothing is held against the client any more. */
	succeeded(): Promise<void>;
	/** It was not looked at: something failed, or another field was refused. */
	unjudged(): Promise<void>;
}

/** What of a route decides how its requests are counted. */
type CountedRoute = Pick<RouteDefinition, "guarded" | "probe">;

/** Decides which requests are let in at all. */
export interface Admission {
	/** Counts a request by its client's address, before its body is read; not for a probe. @throws TOO_MANY_REQUESTS */
	request(req: IncomingMessage, res: ServerResponse, route: CountedRoute | undefined): Promise<void>;
	/** Counts a request by its user. @throws TOO_MANY_REQUESTS */
	user(id: number, res: ServerResponse): Promise<void>;
	/**
	 * Counts a try of a secret by whose it is and the address it comes from: guesses from one address keep nobody out who
	 * comes from another. Counted first and given back later, so that many guesses at once are no way around it.
	 * @throws TOO_MANY_REQUESTS
	 */
	attempt(whose: string, req: IncomingMessage, res: ServerResponse): Promise<Attempt>;
	close(): void;
}

/** Makes the admission of an api node from its environment. */
export function admission(env: Env, broker: ServiceBroker): Admission {
	const limits = rateLimits({
		redis: env.REDIS_URL ? redisOptions(env) : undefined,
		withoutRedis: env.RATE_LIMIT_WITHOUT_REDIS,
		events: metrics(broker)
	});
	const perMinute = (name: string, points: number) => limits.limit({ name, points, seconds: MINUTE });
	const all = perMinute("all", env.RATE_LIMIT_PER_MINUTE);
	const guarded = perMinute("guarded", env.LOGIN_LIMIT_PER_MINUTE);
	const perUser = perMinute("user", env.USER_LIMIT_PER_MINUTE);
	// Backing off in steps. 100 a day are what NIST SP 800-63B section 5.2.2 allows at most.
	const attempts = [
		{ name: "attempt-minute", points: env.LOGIN_ATTEMPTS, seconds: MINUTE },
		{ name: "attempt-hour", points: 4 * env.LOGIN_ATTEMPTS, seconds: HOUR },
		{ name: "attempt-day", points: 10 * env.LOGIN_ATTEMPTS, seconds: DAY }
	].flatMap(rule => limits.limit(rule) ?? []);
	const addressOf = clientAddress(env.TRUST_PROXY);

	return {
		async request(req, res, route) {
			if (route?.probe) return;
			if (all) await countAndTell(all, addressOf(req), res);
			if (guarded && route?.guarded) await countAndTell(guarded, addressOf(req), res);
		},

		async user(id, res) {
			if (perUser) await countAndTell(perUser, String(id), res);
		},

		async attempt(whose, req, res) {
			const key = attemptKey(whose, addressOf(req));
			const counts = await Promise.all(attempts.map(limit => limit.count(key)));
			const giveBack = async () => void (await Promise.all(counts.map(count => count.giveBack())));
			// Of several limits that refuse, the client is told of the one that lasts longest.
			const [longest] = counts.filter(count => !count.allowed).sort((a, b) => b.seconds - a.seconds);
			if (longest) {
				// What is refused is no guess: it must not use up the hour and the day.
				await giveBack();
				tell(longest, res);
				refuseBeyond(longest, res);
			}
			return {
				succeeded: async () => void (await Promise.all(attempts.map(limit => limit.forget(key)))),
				unjudged: giveBack
			};
		},

		close: limits.close
	};
}

/** Several limits may count one request; the headers tell of the one that leaves least. */
async function countAndTell(limit: Limit, key: string, res: ServerResponse): Promise<void> {
	const count = await limit.count(key);
	const told = res.getHeader("X-RateLimit-Remaining");
	if (told === undefined || count.remaining < Number(told)) tell(count, res);
	refuseBeyond(count, res);
}

function tell({ points, remaining, seconds }: Count, res: ServerResponse): void {
	res.setHeader("X-RateLimit-Limit", points);
	res.setHeader("X-RateLimit-Remaining", remaining);
	res.setHeader("X-RateLimit-Reset", seconds);
}

/**
 * Another spelling of a name is a guess at the same user. Names are text that a stranger chose: hashed they have a
 * length, and Redis holds no list of who logged in from where.
 */
function attemptKey(whose: string, address: string): string {
	return createHash("sha256")
		.update(`${fold(whose)}\n${address}`)
		.digest("base64url");
}

function metrics(broker: ServiceBroker): LimitEvents {
	const refused = "notemesh.limits.refused.total";
	const degraded = "notemesh.limits.degraded.total";
	const store = "notemesh.limits.store.up";
	register(broker, [
		{
			type: "counter",
			name: refused,
			labelNames: ["limit"],
			description: "Requests beyond a limit",
			known: ["all", "guarded", "user", "attempt-minute", "attempt-hour", "attempt-day"].map(limit => ({ limit }))
		},
		{
			type: "counter",
			name: degraded,
			labelNames: ["limit", "rule"],
			description: "Requests that a limit could not count in Redis, by what was done instead"
		},
		{ type: "gauge", name: store, description: "Whether the Redis of the limits answers" }
	]);
	let lost = false;
	return {
		refused: limit => count(broker, refused, { limit }),
		degraded: (limit, rule) => count(broker, degraded, { limit, rule }),
		storeUp(up) {
			gauge(broker, store, up ? 1 : 0);
			if (!up) broker.logger.warn("The Redis of the rate limits does not answer.");
			else if (lost) broker.logger.info("The Redis of the rate limits answers again.");
			lost = !up;
		}
	};
}
