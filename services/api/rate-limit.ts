import type { ServerResponse } from "node:http";
import { Redis } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterRes } from "rate-limiter-flexible";
import { apiError } from "./api.contract.ts";

const WINDOW_SECONDS = 60;

/** Counts requests of one kind by client address, over all api nodes where they share a Redis. */
export interface RateLimit {
	/** Counts one request and writes the `X-RateLimit-*` headers. @throws TOO_MANY_REQUESTS past the limit */
	count(address: string, res: ServerResponse): Promise<void>;
	close(): void;
}

interface Options {
	/** Names the counter; limits with other names count apart. */
	name: string;
	/** Requests a minute and address; 0 turns the limit off. */
	limit: number;
	/** Empty: count in this process only. */
	redisUrl: string;
	/** Called for each refused request. */
	onRefusal: () => void;
}

/** Makes a limit. While Redis is away each node counts for itself, so a limit neither opens nor blocks everybody. */
export function rateLimit({ name, limit, redisUrl, onRefusal }: Options): RateLimit {
	if (limit === 0) return { count: async () => {}, close: () => {} };

	const options = { keyPrefix: `limit:${name}`, points: limit, duration: WINDOW_SECONDS };
	const memory = new RateLimiterMemory(options);
	const redis = redisUrl ? new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 1 }) : undefined;
	// Without a listener ioredis prints each failed attempt; the insurance limiter is what a failure means here.
	redis?.on("error", () => {});
	const limiter = redis ? new RateLimiterRedis({ ...options, storeClient: redis, insuranceLimiter: memory }) : memory;

	return {
		async count(address, res) {
			const state = await limiter.consume(address).catch((refusal: RateLimiterRes) => refusal);
			const seconds = Math.ceil(state.msBeforeNext / 1000);
			res.setHeader("X-RateLimit-Limit", limit);
			res.setHeader("X-RateLimit-Remaining", Math.max(0, state.remainingPoints));
			res.setHeader("X-RateLimit-Reset", seconds);
			if (state.consumedPoints <= limit) return;
			onRefusal();
			res.setHeader("Retry-After", seconds);
			throw apiError("TOO_MANY_REQUESTS");
		},
		close: () => redis?.disconnect()
	};
}
