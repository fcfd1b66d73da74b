import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import type { Service } from "moleculer";
import type { Sequelize } from "sequelize";
import { contextMiddleware } from "../../../lib/observability/current-context.ts";
import { metrics } from "../../../lib/observability/metrics.ts";
import { observeStatement } from "../../../lib/observability/statements.ts";
import { observerOf } from "../../../mixins/db/statement.ts";
import type { DbMethods } from "../../../mixins/db.mixin.ts";
import { startApp, startSplitApp, useEnvironment } from "../../support/app.ts";
import { freePort } from "../../support/processes.ts";
import { sendRaw } from "../../support/raw.ts";
import { Scrape } from "../../support/scrape.ts";

useEnvironment({ LOGIN_LIMIT_PER_MINUTE: "20" });

/** Broker options with metrics on a free port. */
async function measured() {
	const port = await freePort();
	const { middleware, ...options } = metrics({ METRICS_PORT: port, METRICS_HOST: "127.0.0.1" });
	return {
		options: { ...options, middlewares: [contextMiddleware, middleware] },
		url: `http://127.0.0.1:${port}`,
		scrape: () => Scrape.of(`http://127.0.0.1:${port}/metrics`)
	};
}

async function measuredApp(t: TestContext) {
	const { options, ...rest } = await measured();
	return { ...(await startApp(t, {}, options)), ...rest };
}

/** The first characters that a path of a client's may have without leaving HTTP. */
const CHARACTERS = "abcXYZ019-._~%20/:;@&=+$,{}\"'\\<>|^`";

function randomPath(): string {
	const characters = [...randomBytes(24)].map(byte => CHARACTERS[byte % CHARACTERS.length]);
	return `/${characters.join("").replaceAll("%", "%25")}`;
}

describe("The metrics of a process", () => {
	it("tell rate, errors and time of every route and action", async t => {
		const { client, scrape } = await measuredApp(t);
		const { token } = await client.newUser();
		await client.send("GET", "/v1/note/query", { token });
		await client.send("GET", "/v1/note/12345", { token });
		const now = await scrape();

		const route = { method: "GET", route: "/v1/note/:note_id" };
		assert.equal(now.value("http_requests_total", { ...route, status: "404" }), 1);
		assert.equal(now.value("http_requests_total", { method: "GET", route: "/v1/note/query", status: "200" }), 1);
		assert.equal(now.value("http_request_time_count", route), 1);
		assert.equal(now.value("http_request_time_bucket", { ...route, le: "+Inf" }), 1);
		assert.equal(now.value("moleculer_request_total", { action: "note.get" }), 1);
		assert.equal(now.value("moleculer_request_error_total", { action: "note.get", errorType: "NOTE_NOT_FOUND" }), 1);
		assert.equal(now.value("moleculer_request_time_count", { action: "note.query" }), 1);
		assert.equal(now.value("db_statement_time_count", { operation: "SELECT", table: "notes" }), 2);
		assert.equal(now.value("http_requests_active", {}), 0);
	});

	it("tell of the statements of every service that has a database", async t => {
		const { broker } = await measuredApp(t);
		const services = (broker.services as (Service & Partial<DbMethods>)[]).filter(({ db }) => db);
		assert.ok(services.length >= 5);
		const unseen = services.filter(({ db }) => observerOf(db as Sequelize) !== observeStatement);
		assert.deepEqual(
			unseen.map(({ name }) => name),
			[]
		);
	});

	it("count what can not be read as a request", async t => {
		const { client, scrape } = await measuredApp(t);
		await sendRaw(client.url, "garbage\r\n\r\n");
		await sendRaw(client.url, "GET /ping HTTP/1.1\r\n\r\n");
		const unread = { method: "other", route: "unmatched", status: "400" };
		assert.equal((await scrape()).value("http_requests_total", unread), 2);
	});

	it("tell what the process does: event loop, heap", async t => {
		const { client, scrape } = await measuredApp(t);
		for (const end = Date.now() + 300; Date.now() < end; ) await client.send("GET", "/ping");
		const now = await scrape();
		assert.ok((now.value("process_eventloop_lag_count", {}) ?? 0) > 0);
		assert.ok((now.value("process_memory_heap_size_used", {}) ?? 0) > 1e6);
	});

	it("grow by nothing, whatever 10 000 clients make up", async t => {
		const { client, scrape } = await measuredApp(t);
		const { token } = await client.newUser();
		const methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "M-SEARCH", "LINK", "OPTIONS"];
		const invent = (i: number) => {
			const method = methods[i % methods.length] as string;
			const path = i % 10 === 0 ? `/v1/note/${i}?${randomPath().slice(1)}` : randomPath();
			const headers = {
				"X-Request-ID": randomPath(),
				traceparent: `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01`
			};
			return client.send(method, path, { headers, ...(i % 3 === 0 && { token }) });
		};
		const round = async (from: number, to: number) => {
			for (let i = from; i < to; i += 50) await Promise.all(Array.from({ length: 50 }, (_, n) => invent(i + n)));
		};
		await round(0, 900);
		const before = await scrape();
		await round(900, 10_900);
		const after = await scrape();
		assert.deepEqual(
			// What outbox, channels and audit log measure, and what services clean up, on clocks of their own may come in between.
			after
				.series()
				.filter(
					name => name.includes("{") && !before.has(name) && !/^(outbox|channels|audit|db_statement)_/.test(name)
				),
			[]
		);
		assert.ok(after.series().length < 1000, `${after.series().length} series`);
	});

	it("count refused logins and requests past a limit, from 0 on", async t => {
		const { client, scrape } = await measuredApp(t);
		const before = await scrape();
		assert.equal(before.value("user_login_failures_total", { reason: "credentials" }), 0);
		for (const limit of ["all", "guarded", "user", "attempt-minute", "attempt-hour", "attempt-day"])
			assert.equal(before.value("notemesh_limits_refused_total", { limit }), 0, limit);
		for (let i = 0; i < 24; i++)
			await client.send("POST", "/v1/user/login", { json: { username: `nobody-${i}`, password: "wrong-password" } });
		const after = await scrape();
		assert.equal(after.value("user_login_failures_total", { reason: "credentials" }), 20);
		assert.equal(after.value("notemesh_limits_refused_total", { limit: "guarded" }), 4);
	});

	it("name no label that a client fills, and have a help text each", async t => {
		const { client, scrape } = await measuredApp(t);
		await client.newUser("planted-name", "planted-password");
		await client.send("GET", "/v1/note/planted-path?x=planted-query");
		const { text } = await scrape();
		assert.doesNotMatch(text, /planted/);
		const types = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
		const helps = new Set([...text.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name));
		assert.deepEqual(
			types.filter(name => !helps.has(name)),
			[]
		);
	});

	it("list every node of the mesh as a target, until it leaves", async t => {
		const [gateway, worker] = await Promise.all([measured(), measured()]);
		const app = await startSplitApp(t, {}, {}, { gateway: gateway.options, worker: worker.options });
		const targetsOf = async (url: string) => (await fetch(`${url}/targets`)).json();
		const expected = [
			{
				targets: [new URL(gateway.url).host],
				labels: { node: "gateway", mesh: app.broker.namespace, services: "api" }
			},
			{
				targets: [new URL(worker.url).host],
				labels: { node: "worker", mesh: app.broker.namespace, services: "audit,letter,note,points,user" }
			}
		];
		assert.deepEqual(await targetsOf(gateway.url), expected);
		assert.deepEqual(await targetsOf(worker.url), expected);
	});
});
