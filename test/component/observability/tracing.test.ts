import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { readEnv } from "../../../lib/env.ts";
import { contextMiddleware } from "../../../lib/observability/current-context.ts";
import { newId } from "../../../lib/observability/trace-context.ts";
import { tracing } from "../../../lib/observability/tracing.ts";
import { startApp, startSplitApp, useEnvironment } from "../../support/app.ts";
import { flat, JaegerCollector } from "../../support/jaeger-collector.ts";

useEnvironment();

describe("The trace of a request", () => {
	const collector = new JaegerCollector();
	before(() => collector.start());
	after(() => collector.stop());

	/** Broker options with this collector; `variables` as in the environment. */
	function traced(variables: Record<string, string> = {}) {
		const env = readEnv({ NODE_ENV: "test", JAEGER_ENDPOINT: collector.endpoint, ...variables });
		const { middleware, ...options } = tracing(env, "0");
		return { ...options, middlewares: [contextMiddleware, middleware] };
	}

	it("continues a client's traceparent", async t => {
		const { client } = await startApp(t, {}, traced());
		const traceID = newId();
		const answer = await client.send("GET", "/openapi.json", {
			headers: { traceparent: `00-${traceID}-b7ad6b7169203331-01` }
		});
		assert.equal(answer.headers["x-request-id"], traceID);
		const root = await collector.trace(traceID, 2);
		assert.equal(root.name, "GET /openapi.json");
		assert.equal(root.parentId, "b7ad6b7169203331");
	});

	it("leaves no span where the client has decided against it, and where machines ask for health", async t => {
		const { client } = await startApp(t, {}, traced());
		const unsampled = newId();
		await client.send("GET", "/openapi.json", { headers: { traceparent: `00-${unsampled}-b7ad6b7169203331-00` } });
		const unseen = [unsampled];
		for (const path of ["/ping", "/healthz", "/readyz"])
			unseen.push(String((await client.send("GET", path)).headers["x-request-id"]));

		const last = await client.send("GET", "/openapi.json");
		await collector.trace(String(last.headers["x-request-id"]), 2);
		assert.deepEqual(
			unseen.flatMap(id => collector.of(id)),
			[]
		);
	});

	it("does not trust a client's X-Request-ID", async t => {
		const { client } = await startApp(t, {}, traced());
		const answer = await client.send("GET", "/ping", {
			headers: { "X-Request-ID": "mine", "X-Correlation-ID": "mine" }
		});
		assert.match(String(answer.headers["x-request-id"]), /^[0-9a-f]{32}$/);
	});

	const failures: [what: string, method: string, path: string, name: string, status: number, type: string][] = [
		["an unknown path", "GET", "/v1/secret-path/7?x=1", "GET unmatched", 404, "ROUTE_NOT_FOUND"],
		["an unknown method", "PATCH", "/v1/note", "PATCH unmatched", 405, "METHOD_NOT_ALLOWED"],
		["no token", "GET", "/v1/note/7", "GET /v1/note/:note_id", 401, "UNAUTHENTICATED"],
		["a bad login", "POST", "/v1/user/login", "POST /v1/user/login", 401, "WRONG_CREDENTIALS"]
	];
	for (const [what, method, path, name, status, type] of failures)
		it(`tells of ${what} by route, status and type of the error`, async t => {
			const { client } = await startApp(t, {}, traced());
			const answer = await client.send(method, path, {
				...(method === "POST" && { json: { username: "nobody", password: "planted-password" } })
			});
			assert.equal(answer.status, status);
			const root = await collector.trace(String(answer.headers["x-request-id"]));
			assert.equal(root.name, name);
			assert.deepEqual(
				[root.tags["http.method"], root.tags["http.status_code"], root.tags.error, root.tags["error.type"]],
				[method, status, true, type]
			);
			assert.doesNotMatch(JSON.stringify(root), /secret-path|planted-password/);
		});

	it("records the parameters that an action names, and no others", async t => {
		const { client } = await startApp(t, {}, traced());
		const { token } = await client.newUser();
		const answer = await client.send("GET", "/v1/note/query?limit=7&search_key=planted", { token });
		const root = await collector.trace(String(answer.headers["x-request-id"]), 3);
		const query = flat(root).find(span => span.name === "action 'note.query'");
		const params = Object.entries(query?.tags ?? {}).filter(([key]) => key.startsWith("params"));
		assert.deepEqual(params, [["params.limit", 7]]);
		assert.doesNotMatch(JSON.stringify(root), /planted/);
	});

	it("is whole or not at all: the gateway decides, whatever the other nodes would", async t => {
		const { client } = await startSplitApp(
			t,
			{},
			{},
			{
				gateway: traced({ JAEGER_SAMPLE_RATE: "0.5" }),
				worker: traced({ JAEGER_SAMPLE_RATE: "0" })
			}
		);
		const { token } = await client.newUser();
		const ids: string[] = [];
		for (let i = 0; i < 40; i++) {
			const answer = await client.send("GET", "/v1/user/me", { token });
			ids.push(String(answer.headers["x-request-id"]));
		}
		const marker = newId();
		await client.send("GET", "/openapi.json", { headers: { traceparent: `00-${marker}-b7ad6b7169203331-01` } });
		const begun = () => ids.filter(id => collector.of(id).length > 0);
		await collector.trace(marker, 2);
		await Promise.all(begun().map(id => collector.trace(id, 3)));
		assert.ok(begun().length > 0 && begun().length < ids.length, `${begun().length} of ${ids.length}`);
		assert.deepEqual(
			begun()
				.map(id => collector.of(id).length)
				.filter(spans => spans !== 3),
			[]
		);
	});

	it("takes so many traces a second as the rate-limiting sampler is told", async t => {
		const { client } = await startApp(t, {}, traced({ JAEGER_SAMPLER: "ratelimiting", JAEGER_SAMPLE_RATE: "2" }));
		const ids: string[] = [];
		for (const end = Date.now() + 1500; Date.now() < end; )
			ids.push(String((await client.send("GET", "/openapi.json")).headers["x-request-id"]));
		const taken = () => ids.filter(id => collector.of(id).length > 0);
		await collector.until(() => taken().length > 0);
		// 1.5 seconds, and a balance of one second's worth at most.
		assert.ok(taken().length <= 5 && ids.length > 20, `${taken().length} of ${ids.length}`);
	});
});
