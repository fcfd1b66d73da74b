import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inspect } from "node:util";
import { type BrokerOptions, Loggers, type Span, TracerExporters } from "moleculer";
import type { Sequelize } from "sequelize";
import { env } from "../../../lib/env.ts";
import { brokerOptions } from "../../../moleculer.config.ts";
import type { UserTable } from "../../../services/user/user.store.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, Client, RequestOptions } from "../../support/client.ts";

const JWT_SECRET = "planted-signing-secret-of-at-least-32-bytes";
useEnvironment({ JWT_KEYS: `planted:${JWT_SECRET}` });

const PASSWORD = "planted password";
const NEXT_PASSWORD = "planted successor";
const NUMBER = 72_616_263_646_566;
const SEARCH = "planted-search-key";

/** What was logged and traced, as deep as a logger writes it. */
const output: string[] = [];
const written = (...things: unknown[]) =>
	output.push(things.map(thing => (typeof thing === "string" ? thing : inspect(thing, { depth: 6 }))).join(" "));

class TraceLog extends Loggers.Base<{ level?: "trace" }> {
	constructor() {
		super({ level: "trace" });
	}
	override getLogHandler() {
		return (_level: string, args: unknown[]) => void written(...args);
	}
}

const traceIds = new Set<string>();

class SpanLog extends TracerExporters.Base {
	override spanStarted({ name, tags, traceID }: Span) {
		traceIds.add(traceID as string);
		written(name, tags);
	}
	override spanFinished({ name, tags, error, logs }: Span) {
		written(name, tags, logs, error && this.errorToObject(error));
	}
}

const { tracing } = brokerOptions(env());
const options: BrokerOptions = {
	logger: new TraceLog(),
	tracing: { ...(tracing as object), enabled: true, exporter: new SpanLog({}) as unknown as "Event" }
};

onBothShapes(
	app => {
		const secrets: Record<string, string> = { PASSWORD, NEXT_PASSWORD, NUMBER: `${NUMBER}`, JWT_SECRET };
		const answers: Answer[] = [];
		let client: Client;
		let username: string;

		/** Sends a request whose answer has no reason to hold any of the secrets. */
		const send = async (method: string, path: string, request: RequestOptions = {}): Promise<Answer> => {
			const answer = await client.send(method, path, request);
			answers.push(answer);
			return answer;
		};
		const remember = ({ body }: Answer, name: string): string => {
			for (const field of ["token", "refresh_token"]) secrets[`${name} ${field}`] = body[field] as string;
			return body.token as string;
		};
		const login = () => client.send("POST", "/v1/user/login", { json: { username, password: PASSWORD } });

		before(async () => {
			client = app().client;
			username = `keeper-${app().broker.nodeID}`;
			const user = app().worker.getLocalService("user") as unknown as { db: Sequelize; models: { user: UserTable } };

			// Every way in which a secret comes into the house.
			await send("POST", "/v1/user/register", { json: { username, password: PASSWORD } });
			const row = await user.models.user.findOne({ where: { username }, raw: true });
			secrets.hash = row?.password_hash as string;
			remember(await client.send("POST", "/v1/user/login", { form: { username, password: PASSWORD } }), "form login");
			const first = await login();
			const token = remember(first, "login");
			const { refresh_token } = first.body as unknown as { refresh_token: string };
			const refreshed = await client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
			remember(refreshed, "refresh");
			const cookie = { headers: { Cookie: `jwt=${token}` } };
			assertSuccess(await send("GET", "/v1/user/me", cookie));
			assertSuccess(await send("GET", `/v1/note/query?search_key=${SEARCH}`, { token }));

			// Every way in which it is refused.
			const headers = { "Content-Type": "application/json" };
			await send("GET", `/v1/user/me?token=${token}`);
			await send("GET", `/v1/note/query?token=${token}`, { token });
			await send("GET", "/v1/user/me", { headers: { Authorization: `Basic ${token}` } });
			await send("GET", "/v1/user/me", { token: `${token}x` });
			await send("POST", "/v1/user/register", { json: { username, password: PASSWORD } });
			await send("POST", "/v1/user/register", { json: { username, password: PASSWORD.repeat(20) } });
			await send("POST", "/v1/user/register", { json: { username: "", password: PASSWORD, role: "admin" } });
			await send("POST", "/v1/user/register", { json: { username: `${username}2`, password: [PASSWORD] } });
			await send("POST", "/v1/user/register", { json: { username: `${username}2`, password: NUMBER } });
			await send("POST", "/v1/user/register", { raw: `{"username":"a","password":"${PASSWORD}"`, headers });
			await send("POST", "/v1/user/register", { raw: `username=a&password=${PASSWORD}%`, headers });
			await send("POST", `/v1/user/login?password=${encodeURIComponent(PASSWORD)}`, { json: {} });
			await send("POST", "/v1/user/login", { json: { username: "nobody", password: PASSWORD } });
			await send("POST", "/v1/user/login", { json: { username: 5, password: PASSWORD } });
			await send("POST", "/v1/user/refresh", { json: { refresh_token } });
			await send("POST", "/v1/user/refresh", { json: { refresh_token: refresh_token.repeat(3) } });

			// What the gateway keeps back, another node may send.
			await assert.rejects(app().broker.call("user.login", { username, password: [PASSWORD] }));

			// A database that fails in mid-work.
			const again = remember(await login(), "second login");
			for (const table of ["users", "sessions"]) {
				await user.db.query(`ALTER TABLE ${table} RENAME TO ${table}_gone`);
				const failing: [method: string, path: string, request: RequestOptions][] = [
					["POST", "/v1/user/register", { json: { username: `${username}-${table}`, password: PASSWORD } }],
					["POST", "/v1/user/login", { json: { username, password: PASSWORD } }],
					["PUT", "/v1/user/password", { token: again, json: { old_password: PASSWORD, new_password: NEXT_PASSWORD } }],
					["POST", "/v1/user/refresh", { json: { refresh_token: secrets["second login refresh_token"] } }]
				];
				const failed: number[] = [];
				for (const [method, path, request] of failing) failed.push((await send(method, path, request)).status);
				assert.ok(failed.filter(status => status === 500).length >= 3, `${failed}`);
				await user.db.query(`ALTER TABLE ${table}_gone RENAME TO ${table}`);
			}
			const change = { old_password: PASSWORD, new_password: NEXT_PASSWORD };
			assertSuccess(await send("PUT", "/v1/user/password", { token: again, json: change }));
		});

		describe("A secret", () => {
			it("is in no line of the log and in no span, at level trace", () => {
				assert.ok(output.length > 100);
				for (const [name, secret] of Object.entries(secrets)) {
					assert.ok(secret.length > 10, name);
					const seen = output.find(text => text.includes(secret));
					assert.equal(seen, undefined, `${name} was written`);
				}
			});

			it("is in no answer but the one that gives it", () => {
				for (const { text } of answers)
					for (const [name, secret] of Object.entries(secrets)) assert.ok(!text.includes(secret), `${name} in ${text}`);
			});
		});

		describe("The log", () => {
			it("names the path of each answer, without the query", () => {
				assert.ok(output.some(text => text.startsWith("Request ") && text.includes("/v1/note/query")));
				assert.ok(output.some(text => text.startsWith("Request ") && text.includes("/v1/user/me")));
				assert.deepEqual(
					output.filter(text => text.includes("?token=") || text.includes(SEARCH)),
					[]
				);
			});

			it("is found by the id of an answer, which is the id of its trace", async () => {
				const answer = await client.send("POST", "/v1/user/login", { json: { username: "nobody", password: "x" } });
				assert.ok(traceIds.has(String(answer.headers["x-request-id"])));
			});

			it("tells why a request failed, under the id that the client has", async () => {
				const user = app().worker.getLocalService("user") as unknown as { db: Sequelize };
				await user.db.query("ALTER TABLE users RENAME TO users_gone");
				const answer = await login();
				await user.db.query("ALTER TABLE users_gone RENAME TO users");
				assertFailure(answer, "broken");
				const id = String(answer.headers["x-request-id"]);
				assert.ok(output.some(text => text.includes("Request failed")));
				assert.ok(traceIds.has(id));
			});
		});
	},
	{},
	options
);
