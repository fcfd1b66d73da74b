import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertFailure } from "../../support/answers.ts";
import { startApp, startSplitApp, useEnvironment } from "../../support/app.ts";
import type { Answer, RequestOptions } from "../../support/client.ts";

const LIMIT = 8;
const LOGIN_LIMIT = 3;
useEnvironment({ RATE_LIMIT_PER_MINUTE: String(LIMIT), LOGIN_LIMIT_PER_MINUTE: String(LOGIN_LIMIT) });

const JSON_TYPE = { "Content-Type": "application/json" };

/** Asserts the headers of the limit: how many of how many are left, and when all are back. */
function assertCounted({ headers }: Answer, limit: number, remaining: number): void {
	assert.deepEqual(
		[headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]],
		[String(limit), String(remaining)]
	);
	const reset = Number(headers["x-ratelimit-reset"]);
	assert.ok(Number.isInteger(reset) && reset > 0 && reset <= 60, `${reset} s`);
}

function assertLimited(answer: Answer, limit: number): void {
	assertFailure(answer, "tooMany");
	assertCounted(answer, limit, 0);
	assert.equal(answer.headers["retry-after"], answer.headers["x-ratelimit-reset"]);
}

for (const start of [startApp, startSplitApp])
	describe(`The limit of requests, ${start === startApp ? "in one process" : "over a transporter"}`, () => {
		it("counts every request, of whatever kind and outcome, and then refuses all", async t => {
			const { client } = await start(t);
			const requests: [method: string, path: string, options?: RequestOptions][] = [
				["GET", "/ping"],
				["GET", "/nothing"],
				["PATCH", "/v1/note"],
				["OPTIONS", "/v1/note"],
				["GET", "/v1/note/query"],
				["POST", "/v1/note", { raw: "{", headers: JSON_TYPE }],
				["POST", "/v1/note", { raw: Buffer.alloc(600_000), headers: JSON_TYPE }],
				["POST", "/v1/note", { raw: "a", headers: { "Content-Type": "text/plain" } }]
			];
			assert.equal(requests.length, LIMIT);
			for (const [i, [method, path, options]] of requests.entries())
				assertCounted(await client.send(method, path, options), LIMIT, LIMIT - 1 - i);
			for (const [method, path, options] of requests) assertLimited(await client.send(method, path, options), LIMIT);
		});

		it("is a stricter one where passwords and refresh tokens are tried", async t => {
			const { client } = await start(t);
			const json = { username: "nobody", password: "123456" };
			assertCounted(await client.send("POST", "/v1/user/register", { json }), LOGIN_LIMIT, 2);
			assertCounted(await client.send("POST", "/v1/user/login", { raw: "{", headers: JSON_TYPE }), LOGIN_LIMIT, 1);
			assertCounted(await client.send("POST", "/v1/user/refresh", { json: { refresh_token: "x" } }), LOGIN_LIMIT, 0);
			for (const path of ["register", "login", "refresh"])
				assertLimited(await client.send("POST", `/v1/user/${path}`, { json }), LOGIN_LIMIT);

			// All six counted as requests, too.
			assertCounted(await client.send("GET", "/ping"), LIMIT, LIMIT - 7);
		});

		it("does not count probes, which are always answered", async t => {
			const { client } = await start(t);
			for (let i = 0; i < LIMIT + 1; i++) await client.send("GET", "/ping");
			assertLimited(await client.send("GET", "/ping"), LIMIT);
			for (const method of ["GET", "HEAD"])
				for (const path of ["/healthz", "/readyz"]) {
					const { status, headers } = await client.send(method, path);
					assert.deepEqual([status, headers["x-ratelimit-limit"]], [200, undefined], path);
				}
		});

		it("lets exactly as many in when all come at once", async t => {
			const { client } = await start(t);
			const answers = await Promise.all(Array.from({ length: 30 }, () => client.send("GET", "/ping")));
			assert.equal(answers.filter(answer => answer.status === 200).length, LIMIT);
			assert.equal(answers.filter(answer => answer.status === 429).length, 30 - LIMIT);
		});

		it("goes by the address of the connection, not by what a header says", async t => {
			const { client } = await start(t);
			for (let i = 0; i < LIMIT + 1; i++) {
				const address = `10.0.0.${i}`;
				const headers = { "X-Forwarded-For": address, "X-Real-IP": address, Forwarded: `for=${address}` };
				const answer = await client.send("GET", "/ping", { headers });
				if (i < LIMIT) assert.equal(answer.status, 200);
				else assertLimited(answer, LIMIT);
			}
		});
	});
