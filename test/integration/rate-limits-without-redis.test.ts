import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { readEnv } from "../../lib/env.ts";
import { redisOptions } from "../../lib/server-options.ts";
import { startRedis } from "../../scripts/servers/redis.ts";
import { admission } from "../../services/api/admission.ts";
import { type LimitEvents, type Limits, rateLimits, type WithoutRedis } from "../../services/api/rate-limit.ts";
import { brokerFor, Log } from "../support/log.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const { skip } = await requireServers("redis");

describe("A limit without its Redis", { skip }, () => {
	interface Watched {
		limits: Limits;
		seen: string[];
		ups: boolean[];
	}

	function watched(t: TestContext, url: string | undefined, withoutRedis: WithoutRedis): Watched {
		const seen: string[] = [];
		const ups: boolean[] = [];
		const events: LimitEvents = {
			refused: limit => void seen.push(`refused ${limit}`),
			degraded: (limit, rule) => void seen.push(`degraded ${limit} ${rule}`),
			storeUp: up => void ups.push(up)
		};
		const redis = url === undefined ? undefined : redisOptions(readEnv({ REDIS_URL: url }));
		const limits = rateLimits({ redis, withoutRedis, events });
		t.after(() => limits.close());
		return { limits, seen, ups };
	}

	const cases: [rule: WithoutRedis, what: string, statuses: string[]][] = [
		["memory", "counts in this node", ["allowed", "allowed", "refused"]],
		["open", "lets everything in", ["allowed", "allowed", "allowed"]],
		["closed", "lets nothing in", ["503", "503", "503"]]
	];
	for (const [rule, what, expected] of cases)
		for (const [how, signal] of [
			["killed", "SIGKILL"],
			["hanging", "SIGSTOP"]
		] as const)
			it(`${what} where the rule is "${rule}" and Redis is ${how}; counts in Redis once that answers again`, async t => {
				await using redis = await startRedis();
				const { limits, seen, ups } = watched(t, redis.url, rule);
				const limit = limits.limit({ name: "test", points: 2, seconds: 60 });
				assert.ok(limit);
				const count = (key: string) =>
					limit.count(key).then(
						({ allowed }) => (allowed ? "allowed" : "refused"),
						(error: { code: number }) => String(error.code)
					);
				await until("the store is up", () => ups.at(-1) === true);
				assert.equal(await count("before"), "allowed");

				if (signal === "SIGKILL") await redis.kill();
				else process.kill(redis.pid as number, "SIGSTOP");
				const outcomes = [await count("a"), await count("a"), await count("a")];
				assert.deepEqual(outcomes, expected);
				assert.equal(seen.filter(event => event === `degraded test ${rule}`).length, 3);
				await until("it is told", () => ups.at(-1) === false);
				assert.deepEqual(ups, [true, false]);

				if (signal === "SIGKILL") await redis.start();
				else process.kill(redis.pid as number, "SIGCONT");
				const degraded = () => seen.filter(event => event.startsWith("degraded")).length;
				await until("the store is asked again", async () => {
					const earlier = degraded();
					await count(`probe ${Math.random()}`);
					return degraded() === earlier;
				});
				assert.deepEqual([await count("b"), await count("b"), await count("b")], ["allowed", "allowed", "refused"]);
				assert.deepEqual(ups, [true, false, true]);
			});

	it("says in the log once that Redis does not answer, once that it does again, and nothing at the end", async t => {
		await using redis = await startRedis();
		const log = new Log();
		const env = { ...readEnv({}), REDIS_URL: redis.url };
		const { request, close } = admission(env, brokerFor(t, log));
		t.after(close);
		const count = () => {
			const req = new IncomingMessage(new Socket());
			return request(req, new ServerResponse(req), undefined);
		};
		const told = () => log.lines.filter(({ text }) => text.includes("Redis")).map(({ level }) => level);
		await count();

		process.kill(redis.pid as number, "SIGSTOP");
		await until("the silence is told of", async () => {
			await count();
			return told().length > 0;
		});
		await count();
		process.kill(redis.pid as number, "SIGCONT");
		await until("Redis is asked again", async () => {
			await count();
			return told().length > 1;
		});
		await count();
		close();
		await redis.stop();
		assert.deepEqual(told(), ["warn", "info"]);
	});

	for (const where of ["memory", "Redis"])
		it(`has no credit from what was counted in the window before and is given back, in ${where}`, async t => {
			await using redis = await startRedis();
			const { limits, ups } = watched(t, where === "Redis" ? redis.url : undefined, "closed");
			const limit = limits.limit({ name: "test", points: 2, seconds: 1 });
			assert.ok(limit);
			if (where === "Redis") await until("the store is up", () => ups.at(-1) === true);
			const counts = await Promise.all(Array.from({ length: 10 }, () => limit.count("a")));
			await until("the next window", async () => (await limit.count("a")).allowed);
			await Promise.all(counts.map(count => count.giveBack()));
			const allowed: boolean[] = [];
			for (let i = 0; i < 3; i++) allowed.push((await limit.count("a")).allowed);
			assert.deepEqual(allowed, [true, false, false]);
		});

	it("has no credit from what was counted in Redis and given back", async t => {
		await using redis = await startRedis();
		const { limits, ups } = watched(t, redis.url, "memory");
		const limit = limits.limit({ name: "test", points: 2, seconds: 60 });
		assert.ok(limit);
		await until("the store is up", () => ups.at(-1) === true);
		for (let i = 0; i < 5; i++) await (await limit.count("a")).giveBack();
		await redis.kill();
		const allowed: boolean[] = [];
		for (let i = 0; i < 3; i++) allowed.push((await limit.count("a")).allowed);
		assert.deepEqual(allowed, [true, true, false]);
	});
});
