import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { ServiceBroker } from "moleculer";
import { readEnv } from "../../lib/env.ts";
import { hasType } from "../../lib/errors.ts";
import { redisOptions } from "../../lib/server-options.ts";
import { admission } from "../../services/api/admission.ts";
import { rateLimits } from "../../services/api/rate-limit.ts";

const MINUTE = 60_000;
const ATTEMPTS = 3;

/** Tries of one user's password, all from one address. */
function attempts(t: TestContext) {
	const env = { ...readEnv({}), LOGIN_ATTEMPTS: ATTEMPTS };
	const { attempt, close } = admission(env, new ServiceBroker({ logger: false }));
	t.after(close);
	return async () => {
		const req = new IncomingMessage(new Socket());
		const res = new ServerResponse(req);
		const tried = await attempt("name somebody", req, res).catch(error => {
			assert.ok(hasType(error, "TOO_MANY_REQUESTS"), String(error));
		});
		return { tried, headers: res.getHeaders() };
	};
}

describe("Wrong passwords", () => {
	it("are backed off from for a minute; refused tries use up neither the hour nor the day", async t => {
		const attempt = attempts(t);
		for (let i = 0; i < ATTEMPTS; i++) assert.ok((await attempt()).tried);
		for (let i = 0; i < 100; i++) {
			const { tried, headers } = await attempt();
			assert.equal(tried, undefined);
			const reset = Number(headers["x-ratelimit-reset"]);
			assert.ok(reset > 0 && reset <= 60, `${reset} s`);
			assert.deepEqual(
				[headers["retry-after"], headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]],
				[reset, ATTEMPTS, 0]
			);
		}
	});

	it("are none where nothing was judged", async t => {
		const attempt = attempts(t);
		for (let i = 0; i < 100; i++) await (await attempt()).tried?.unjudged();
		for (let i = 0; i < ATTEMPTS; i++) assert.ok((await attempt()).tried);
		assert.equal((await attempt()).tried, undefined);
	});

	it("are forgotten after the right one", async t => {
		const attempt = attempts(t);
		for (let i = 0; i < 2; i++) {
			for (let j = 1; j < ATTEMPTS; j++) assert.ok((await attempt()).tried);
			await (await attempt()).tried?.succeeded();
		}
		assert.ok((await attempt()).tried);
	});

	it("are backed off from for as long as the longest of the limits that refuse says", async t => {
		t.mock.timers.enable({ apis: ["Date", "setTimeout"] });
		const attempt = attempts(t);
		for (let minute = 0; minute < 4; minute++) {
			if (minute > 0) t.mock.timers.tick(MINUTE + 1);
			for (let i = 0; i < ATTEMPTS; i++) assert.ok((await attempt()).tried);
		}
		const { tried, headers } = await attempt();
		assert.equal(tried, undefined);
		assert.equal(headers["x-ratelimit-limit"], 4 * ATTEMPTS);
		assert.ok(Number(headers["retry-after"]) > 60 * 50, `${headers["retry-after"]} s`);
	});

	it("are ten times as many a day", async t => {
		t.mock.timers.enable({ apis: ["Date", "setTimeout"] });
		const attempt = attempts(t);
		for (let hour = 0; hour < 10; hour++) {
			for (let i = 0; i < ATTEMPTS; i++) assert.ok((await attempt()).tried);
			t.mock.timers.tick(61 * MINUTE);
		}
		assert.equal((await attempt()).tried, undefined);
		t.mock.timers.tick(14 * 60 * MINUTE);
		assert.ok((await attempt()).tried);
	});
});

describe("A limit", () => {
	it("forgets a key in this node too, which counts while Redis is away", async t => {
		const events = { refused() {}, degraded() {}, storeUp() {} };
		const redis = redisOptions(readEnv({ REDIS_URL: "redis://127.0.0.1:1" }));
		const limits = rateLimits({ redis, withoutRedis: "memory", events });
		t.after(limits.close);
		const limit = limits.limit({ name: "x", points: 2, seconds: 60 });
		for (let i = 0; i < 4; i++) {
			assert.equal((await limit?.count("key"))?.allowed, true);
			await limit?.forget("key");
		}
	});

	for (const [left, what, remaining] of [
		[300, "gives back what was counted", 2],
		[200, "gives nothing back: it might reach Redis in the next window", 1]
	] as const)
		it(`${what}, ${left} ms before the window ends`, async t => {
			t.mock.timers.enable({ apis: ["Date", "setTimeout"] });
			const events = { refused() {}, degraded() {}, storeUp() {} };
			const limits = rateLimits({ redis: undefined, withoutRedis: "memory", events });
			t.after(limits.close);
			const limit = limits.limit({ name: "x", points: 3, seconds: 60 });
			const count = await limit?.count("key");
			t.mock.timers.tick(MINUTE - left);
			await count?.giveBack();
			assert.equal((await limit?.count("key"))?.remaining, remaining);
		});
});
