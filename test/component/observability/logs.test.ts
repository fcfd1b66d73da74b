import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type BrokerOptions, type LogLevels, ServiceBroker } from "moleculer";
import { contextMiddleware } from "../../../lib/observability/current-context.ts";
import { logCommand, logLevelMiddleware } from "../../../lib/observability/log-level.ts";
import { RequestLogger } from "../../../lib/observability/logger.ts";
import { observeStatement } from "../../../lib/observability/statements.ts";
import { newId } from "../../../lib/observability/trace-context.ts";
import { startApp, startSplitApp, useEnvironment } from "../../support/app.ts";
import { sendRaw } from "../../support/raw.ts";
import { until } from "../../support/until.ts";

useEnvironment({ SLOW_REQUEST_MS: "1", SLOW_STATEMENT_MS: "1" });

const STATEMENT = /^(SELECT|INSERT|UPDATE)/;

type Line = Record<string, unknown>;

/** Broker options with a log that is kept. */
function logged(level: LogLevels = "info", json = true) {
	const lines: string[] = [];
	const destination = new Writable({
		write(chunk, _encoding, done) {
			lines.push(String(chunk));
			done();
		}
	});
	const logger = new RequestLogger({ level, json, destination });
	return {
		options: {
			logger,
			uidGenerator: newId,
			middlewares: [contextMiddleware, logLevelMiddleware(logger)]
		} as unknown as BrokerOptions,
		lines,
		/** The lines with this text, which a pattern may describe. */
		said: (text: string | RegExp): Line[] =>
			lines
				.map(line => JSON.parse(line))
				.filter(({ msg }) => (typeof text === "string" ? msg === text : text.test(msg)))
	};
}

describe("The log", () => {
	it("has one line a request, with its trace, user, route and status, also where it failed", async t => {
		const { options, said } = logged();
		const { client } = await startApp(t, {}, options);
		const { token, user_id } = await client.newUser();
		const answers = [
			await client.send("GET", "/v1/note/12345", { token }),
			await client.send("GET", "/nothing?token=planted"),
			await client.send("GET", "/healthz")
		];
		const [note, nothing, health] = answers.map(({ headers }) =>
			[...said("Request"), ...said("Slow request")].filter(line => line.trace_id === headers["x-request-id"])
		);
		const [line = {}, ...more] = note ?? [];
		assert.deepEqual(more, []);
		const { node, module, service, action, user_id: user, route, method, status, span_id } = line;
		assert.deepEqual(
			{ node, module, service, action, user, route, method, status },
			{
				node: "app",
				module: "api",
				service: "api",
				action: "api.rest",
				user: user_id,
				route: "/v1/note/:note_id",
				method: "GET",
				status: 404
			}
		);
		assert.match(String(span_id), /^[0-9a-f]{16}$/);
		assert.deepEqual(
			nothing?.map(line => [line.route, line.status, line.user_id]),
			[["unmatched", 404, undefined]]
		);
		assert.deepEqual(
			health?.filter(({ msg }) => msg !== "Slow request"),
			[],
			"health is not worth a line unless it is slow"
		);
	});

	it("has a quiet line of what can not be read, under the id that the answer names", async t => {
		const { options, said } = logged("debug");
		const { client } = await startApp(t, {}, options);
		const traceID = newId();
		const json = "Content-Type: application/json\r\nTransfer-Encoding: chunked";
		const unread: [bytes: string, line: object][] = [
			["garbage\r\n\r\n", { level: "debug", msg: "Request refused", route: "unmatched", status: 400 }],
			[
				`GET /ping HTTP/1.1\r\nHost: x\r\nX-Large: ${"x".repeat(20_000)}\r\n\r\n`,
				{ level: "debug", msg: "Request refused", route: "unmatched", status: 431 }
			],
			[
				`GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\ntraceparent: 00-${traceID}-b7ad6b7169203331-01\r\n\r\n`,
				{ level: "debug", msg: "Request refused", route: "unmatched", status: 400, trace_id: traceID }
			],
			// It had begun: the client got no answer of its handler's.
			[`POST /v1/user/login HTTP/1.1\r\nHost: x\r\n${json}\r\n\r\nZZ\r\n`, { route: "/v1/user/login", status: 499 }]
		];
		for (const [bytes, expected] of unread) {
			const { text } = await sendRaw(client.url, bytes);
			const [, id] = text.match(/X-Request-ID: ([0-9a-f]{32})\r\n/i) ?? [];
			const own = () => said(/^(Slow request|Request|Request refused)$/).filter(line => line.trace_id === id);
			await until("it is logged", () => own().length > 0);
			assert.equal(own().length, 1);
			assert.partialDeepStrictEqual(own()[0], expected);
		}
	});

	it("tells in every line of a request which one it is, also on the other node and in another service", async t => {
		const [gateway, worker] = [logged(), logged("debug")];
		const { client } = await startSplitApp(t, {}, {}, { gateway: gateway.options, worker: worker.options });
		const { token, user_id } = await client.newUser();
		const answer = await client.send("POST", "/v1/note", { token, json: { title: "a", content: "b" } });
		const statements = worker.said(STATEMENT).filter(line => line.trace_id === answer.headers["x-request-id"]);
		const places = statements.map(line => [line.module, line.service, line.action, line.user_id, line.node].join(" "));
		assert.deepEqual([...new Set(places)].sort(), [
			`note note note.create ${user_id} worker`,
			`user user user.mget ${user_id} worker`
		]);
	});

	it("tells of a slow request", async t => {
		const { options, said } = logged();
		const { client } = await startApp(t, {}, options);
		await client.newUser();
		// argon2 takes longer than the millisecond that is allowed here.
		assert.ok(said("Slow request").some(line => line.route === "/v1/user/login" && line.level === "warn"));
	});

	it("tells of a slow statement by its shape, and of none that is quick", async t => {
		const { options, said } = logged();
		const { broker } = await startApp(t, {}, options);
		const statement = { dialect: "sqlite", operation: "SELECT", table: "t", shape: () => "SELECT ? FROM t" };
		broker.createService({
			name: "slow",
			actions: {
				async query() {
					const end = observeStatement(statement);
					observeStatement({ ...statement, shape: () => "quick" })({ rows: 1 });
					await delay(5);
					end({ rows: 7 });
				}
			}
		});
		await broker.waitForServices("slow");
		await broker.call("slow.query");
		const lines = said("Slow statement").filter(line => line.action === "slow.query");
		assert.deepEqual(
			lines.map(line => [line.level, line.statement, line.rows]),
			[["warn", "SELECT ? FROM t", 7]]
		);
	});

	it("holds the reason of a failure that the client is not told, with its trace", async t => {
		const { options, said } = logged();
		const { client } = await startApp(t, { note: null }, options);
		const { token } = await client.newUser();
		const answer = await client.send("GET", "/v1/note/query", { token });
		assert.equal(answer.status, 503);
		const [{ trace_id, error } = {}] = said("Request failed");
		assert.equal(trace_id, answer.headers["x-request-id"]);
		const { name, stack } = { ...(error as Line) };
		assert.equal(name, "ServiceUnavailableError");
		assert.match(String(stack), /at /);
	});

	for (const json of [true, false])
		it(`holds no password, token or hash, down to trace, ${json ? "as JSON" : "for people"}`, async t => {
			const { options, lines } = logged("trace", json);
			const { client, broker } = await startApp(t, {}, options);
			const { token, refresh_token } = await client.newUser(undefined, "planted-password");
			const password = "planted-wrong";
			await client.send("POST", "/v1/user/login", { json: { username: "x", password } });
			await client.send("POST", "/v1/user/login", { json: { username: "x", password: { password } } });
			await client.send("POST", "/v1/user/register", { json: { username: "x", password, token: password } });
			await client.send("POST", "/v1/user/register", {
				raw: `{"password":"${password}`,
				headers: { "Content-Type": "application/json" }
			});
			await client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
			await client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
			await client.send("PUT", "/v1/user/password", {
				token,
				json: { old_password: password, new_password: password }
			});
			await client.send("GET", `/v1/note/query?token=${token}`, { headers: { Cookie: `jwt=${token}` } });
			broker.logger.info("A careless line", { headers: { authorization: `Bearer ${token}` }, user: { password } });
			assert.ok(lines.length > 50);
			const text = lines.join("");
			assert.match(text, /A careless line/);
			for (const secret of ["planted", token, refresh_token, "$argon2"])
				assert.equal(text.includes(secret), false, `found ${secret}: ${lines.find(line => line.includes(secret))}`);
		});

	for (const json of [true, false])
		it(`holds nothing that a terminal would carry out, ${json ? "as JSON" : "for people"}`, async t => {
			const { options, lines } = logged("info", json);
			const broker = new ServiceBroker(options);
			t.after(() => broker.stop());
			broker.logger.warn("No node serves \u001b[2J\u001b[31mnote\u001b[0m", "\u001b]0;a title\u0007here");
			assert.match(lines.join(""), /No node serves note here/);
		});

	it("is for people in development: one line of text each", async t => {
		const { options, lines } = logged("info", false);
		await startApp(t, {}, options);
		assert.match(lines.join(""), /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: app\/note: Service 'note' started\.$/m);
	});

	it("changes its level on all nodes by a command, for one service or all, and back", async t => {
		const [gateway, worker] = [logged(), logged()];
		const { broker, client } = await startSplitApp(t, {}, {}, { gateway: gateway.options, worker: worker.options });
		t.mock.method(console, "log", () => {});
		const loggedOf = async () => {
			// The name of a new author has to be asked for.
			const { token } = await client.newUser();
			const { headers } = await client.send("POST", "/v1/note", { token, json: { title: "a", content: "b" } });
			const own = worker.said(STATEMENT).filter(line => line.trace_id === headers["x-request-id"]);
			return [...new Set(own.map(line => line.module))].sort();
		};
		const say = (level: string, service?: string) =>
			logCommand.action(broker, { what: "level", level, ...(service && { service }) });

		assert.deepEqual(await loggedOf(), []);
		await say("debug", "note");
		assert.deepEqual(await loggedOf(), ["note"]);
		await say("debug");
		assert.deepEqual(await loggedOf(), ["note", "user"]);
		await say("info");
		assert.deepEqual(await loggedOf(), []);
		await say("loudest");
		// Another version of the command may know more levels.
		await broker.broadcast("log.levelChanged", { level: "loudest" });
		assert.deepEqual(await loggedOf(), []);
		assert.deepEqual(worker.said("The log level of everything is loudest now."), []);
		assert.equal(gateway.said("The log level of note is debug now.").length, 1);
	});
});
