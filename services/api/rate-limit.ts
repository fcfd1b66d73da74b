import type { ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { Redis, RedisOptions } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { REDIS_TIMEOUT_MS } from "../../lib/server-options.ts";
import { apiError } from "./api.contract.ts";

/** What limits do while Redis is away. */
export type WithoutRedis = "memory" | "open" | "closed";

/** What may happen to a limit that an operator should know. */
export interface LimitEvents {
	/** A request was refused. */
	refused(limit: string): void;
	/** Redis did not answer, so that the {@link WithoutRedis} rule was applied. */
	degraded(limit: string, rule: WithoutRedis): void;
	/** Redis answers, or does not any more; told when that changes. */
	storeUp(up: boolean): void;
}

interface LimitRule {
	/** Names the counter; limits with other names count apart. */
	name: string;
	/** How many a window; 0 turns the limit off. */
	points: number;
	/** Length of the window in seconds, from the first one counted. */
	seconds: number;
}

/** How a key stands after it was counted. */
export interface Count {
	allowed: boolean;
	/** How many a window. */
	points: number;
	remaining: number;
	/** Seconds until the window ends. */
	seconds: number;
	/** Takes it back, where it was counted. */
	giveBack(): Promise<void>;
}

/** Counts by key, over all api nodes where they share a Redis. Every method is one atomic step. */
export interface Limit {
	/** Counts one. @throws LIMITS_UNAVAILABLE without Redis where the rule is "closed" */
	count(key: string): Promise<Count>;
	/** Forgets a key. */
	forget(key: string): Promise<void>;
}

export interface Limits {
	/** Makes a limit; undefined where it is turned off. */
	limit(rule: LimitRule): Limit | undefined;
	close(): void;
}

interface Options {
	/** How to reach Redis; undefined: count in this process only. */
	redis: (RedisOptions & { url: string }) | undefined;
	withoutRedis: WithoutRedis;
	events: LimitEvents;
}

/** Makes the limits of an api node, which share one connection to Redis. */
export function rateLimits({ redis: server, withoutRedis, events }: Options): Limits {
	let answers: boolean | undefined;
	let closed = false;
	const storeUp = (up: boolean): void => {
		if (closed || up === answers) return;
		answers = up;
		events.storeUp(up);
	};
	const redis = server && connect(server, storeUp);

	return {
		limit(rule) {
			if (rule.points === 0) return undefined;
			const options = { keyPrefix: `limit:${rule.name}`, points: rule.points, duration: rule.seconds };
			const memory = new RateLimiterMemory(options);
			const shared = redis && new RateLimiterRedis({ ...options, storeClient: redis, rejectIfRedisNotReady: true });

			const uncounted: Count = {
				allowed: true,
				points: rule.points,
				remaining: rule.points,
				seconds: 0,
				giveBack: async () => {}
			};

			const consume = async (limiter: RateLimiterMemory | RateLimiterRedis, key: string): Promise<Count> => {
				const { consumedPoints, remainingPoints, msBeforeNext } = await limiter.consume(key).catch(refusalOf);
				const end = Date.now() + msBeforeNext - REDIS_TIMEOUT_MS;
				const allowed = consumedPoints <= rule.points;
				if (!allowed) events.refused(rule.name);
				return {
					allowed,
					points: rule.points,
					remaining: Math.max(0, remainingPoints),
					seconds: Math.ceil(msBeforeNext / 1000),
					// Later it may reach the next window, which would begin with a credit.
					giveBack: async () => void (Date.now() < end && (await Promise.allSettled([limiter.reward(key)])))
				};
			};

			return {
				async count(key) {
					if (!shared) return consume(memory, key);
					try {
						const counted = await consume(shared, key);
						storeUp(true);
						return counted;
					} catch {
						// One that hangs keeps its connection. Before it is ready, nothing was lost.
						if (redis?.status === "ready") storeUp(false);
						events.degraded(rule.name, withoutRedis);
					}
					if (withoutRedis === "closed") throw apiError("LIMITS_UNAVAILABLE");
					return withoutRedis === "open" ? uncounted : consume(memory, key);
				},
				// Also in the counter of this node, which stands in where Redis fails.
				forget: async key => void (await Promise.allSettled([memory.delete(key), shared?.delete(key)]))
			};
		},
		close() {
			closed = true;
			redis?.disconnect();
		}
	};
}

function refusalOf(error: unknown): RateLimiterRes {
	if (error instanceof RateLimiterRes) return error;
	throw error;
}

/** Refuses a request that was one too many. @throws TOO_MANY_REQUESTS */
export function refuseBeyond({ allowed, seconds }: Count, res: ServerResponse): void {
	if (allowed) return;
	res.setHeader("Retry-After", Math.max(1, seconds));
	throw apiError("TOO_MANY_REQUESTS");
}

function connect({ url, ...options }: RedisOptions & { url: string }, storeUp: (up: boolean) => void): Redis {
	// Loaded where it is used: a process without Redis starts earlier.
	const { Redis } = createRequire(import.meta.url)("ioredis") as typeof import("ioredis");
	const redis = new Redis(url, {
		...options,
		connectTimeout: 2000,
		retryStrategy: attempt => Math.min(attempt * 100, 1000)
	});
	redis.on("ready", () => storeUp(true));
	redis.on("close", () => storeUp(false));
	// Without a listener ioredis prints each failed attempt; `degraded` is what a failure means here.
	redis.on("error", () => {});
	return redis;
}
