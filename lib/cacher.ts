import { createRequire } from "node:module";
import type { RedisOptions } from "ioredis";
import { LRUCache } from "lru-cache";
import { type BrokerOptions, Cachers } from "moleculer";
import { type Env, isEmbedded } from "./env.ts";
import { redisOptions } from "./server-options.ts";

/** What a process keeps at most, in characters of JSON, and of one entry; of Redis, `maxmemory` decides. */
const MOST = 32 * 1024 * 1024;
const LARGEST = 256 * 1024;

/** Whether Redis did not answer a command in time; nobody knows whether it was carried out. The text is ioredis's. */
export function isTimeout(error: unknown): boolean {
	return error instanceof Error && error.message === "Command timed out";
}

type ChosenCacher = NonNullable<BrokerOptions["cacher"]>;

/** moleculer's counts entries, of which one may be a page of megabytes: a reader could fill all memory. */
class MemoryCacher extends Cachers.MemoryLRU {
	readonly cache = new LRUCache<string, NonNullable<unknown>>({
		maxSize: MOST,
		maxEntrySize: LARGEST,
		sizeCalculation: (value, key) => key.length + JSON.stringify(value).length
	});
}

/** moleculer waits for a farewell of Redis at the end, which does not come when Redis is away. */
class RedisCacher extends Cachers.Redis {
	override close(): Promise<void> {
		this.client.disconnect();
		return Promise.resolve();
	}
}

/**
 * moleculer's cacher as `CACHE` asks for it: "auto" is memory where no other process has the same data, and none elsewhere:
 * a memory of its own would not learn what another node has written, and a Redis that can not be told of a write in
 * time leaves an old list, which is for an operator to choose.
 */
export function cacherOf(env: Env): ChosenCacher | null {
	const alone = isEmbedded(env) && !env.NATS_URL;
	const chosen = env.CACHE === "auto" ? (alone ? "memory" : "off") : env.CACHE;
	if (chosen === "off") return null;
	if (chosen === "memory") return new MemoryCacher();

	return new RedisCacher({ redis: wholeOptions(redisOptions(env)) });
}

/** moleculer passes one argument to ioredis: URL and options as the one object that ioredis makes of them. */
function wholeOptions({ url, ...options }: ReturnType<typeof redisOptions>): RedisOptions {
	// Loaded where it is used: a process without Redis starts earlier.
	const { Redis } = createRequire(import.meta.url)("ioredis") as typeof import("ioredis");
	const unconnected = new Redis(url, { ...options, lazyConnect: true });
	return { ...unconnected.options, lazyConnect: false };
}
