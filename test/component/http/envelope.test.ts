import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { neighbours } from "../../../services/api/routes.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Client, RequestOptions, TestUser } from "../../support/client.ts";

useEnvironment();

const services = Object.fromEntries(neighbours.map(name => [name, "ok"]));
const JSON_TYPE = { "Content-Type": "application/json" };

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	before(async () => {
		client = app().client;
		user = await client.newUser();
	});

	describe("Every answer", () => {
		const requests: [method: string, path: string, options?: RequestOptions][] = [
			["GET", "/ping"],
			["GET", "/healthz"],
			["GET", "/readyz"],
			["GET", "/openapi.json"],
			["HEAD", "/ping"],
			["GET", "/nothing"],
			["HEAD", "/nothing"],
			["OPTIONS", "*"],
			["PATCH", "/v1/note"],
			["GET", "/v1/note/query"],
			["GET", "/v1/note/%ff"],
			["POST", "/v1/user/login", { json: {} }],
			["POST", "/v1/user/login", { raw: "{", headers: JSON_TYPE }],
			["POST", "/v1/user/login", { raw: Buffer.alloc(512 * 1024 + 1), headers: JSON_TYPE }],
			["POST", "/v1/user/login", { raw: "a", headers: { "Content-Type": "text/plain" } }],
			["FOO", "/ping"],
			["GET", `/${"x".repeat(20_000)}`]
		];

		it("has an X-Request-ID, a new one each time", async () => {
			const ids: unknown[] = [];
			for (const [method, path, options] of [...requests, ...requests]) {
				const { headers } = await client.send(method, path, options);
				assert.match(String(headers["x-request-id"]), /^[0-9a-f]{32}$/, `${method} ${path.slice(0, 40)}`);
				ids.push(headers["x-request-id"]);
			}
			assert.equal(new Set(ids).size, 2 * requests.length);
		});

		it("tells the length of its body, which is sent in one piece", async () => {
			for (const [method, path, options] of requests.filter(([method]) => method !== "HEAD")) {
				const { headers } = await client.send(method, path, options);
				const what = `${method} ${path.slice(0, 40)}`;
				assert.match(String(headers["content-length"]), /^\d+$/, what);
				assert.equal(headers["transfer-encoding"], undefined, what);
			}
		});
	});

	describe("X-Request-ID", () => {
		it("is unique among requests of the same moment", async () => {
			const answers = await Promise.all(Array.from({ length: 100 }, () => client.send("GET", "/ping")));
			assert.equal(new Set(answers.map(answer => answer.headers["x-request-id"])).size, 100);
		});

		it("is not what the client says, nor is a correlation id", async () => {
			const mine = "0".repeat(32);
			const headers = { "X-Request-ID": mine, "X-Correlation-ID": mine };
			const answer = await client.send("GET", "/v1/user/me", { token: user.token, headers });
			assertSuccess(answer);
			assert.notEqual(answer.headers["x-request-id"], mine);
		});
	});

	describe("The envelope", () => {
		it("holds code, message and data of a success, and nothing else", async () => {
			const { note_id } = await client.newNote(user.token);
			for (const [method, path, json] of [
				["GET", "/v1/user/me"],
				["GET", "/v1/note/query"],
				["GET", `/v1/note/${note_id}`],
				["PUT", `/v1/note/${note_id}`, { title: "b" }],
				["DELETE", `/v1/note/${note_id}`]
			] as const) {
				const answer = await client.send(method, path, { token: user.token, json });
				assertSuccess(answer);
				assert.deepEqual(Object.keys(answer.body), ["code", "message", "data"]);
			}
		});

		it("of login and refresh shows the tokens at the top too", async () => {
			const { username, password } = user;
			const login = await client.send("POST", "/v1/user/login", { json: { username, password } });
			const { refresh_token } = login.body;
			const refresh = await client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
			for (const answer of [login, refresh]) {
				const data = assertSuccess<Record<string, unknown>>(answer);
				const { code, message, data: _, ...top } = answer.body;
				assert.deepEqual({ user_id: user.user_id, ...top }, data);
				assert.deepEqual(Object.keys(data), ["user_id", "token", "expire", "refresh_token"]);
				assert.match(String(data.expire), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
				const inMinutes = (Date.parse(String(data.expire)) - Date.now()) / 60_000;
				assert.ok(inMinutes > 14 && inMinutes <= 15, `${inMinutes} minutes`);
			}
		});

		it("is left out by /ping, /healthz, /readyz and /openapi.json", async () => {
			const bodies: [path: string, body: object][] = [
				["/ping", { message: "pong" }],
				["/healthz", { status: "ok" }],
				["/readyz", { status: "ok", checks: { ...services, transporter: "ok" } }]
			];
			for (const [path, body] of bodies) assert.deepEqual((await client.send("GET", path)).body, body);
			const document = (await client.send("GET", "/openapi.json")).body;
			assert.equal(document.openapi, "3.1.0");
		});

		it("of a created note says where it is", async () => {
			const json = { title: "a", content: "b" };
			const created = await client.send("POST", "/v1/note", { token: user.token, json });
			const { note_id } = assertSuccess<{ note_id: number }>(created, 201);
			assert.equal(created.headers.location, `/v1/note/${note_id}`);
			assertSuccess(await client.send("GET", created.headers.location, { token: user.token }));
		});
	});

	describe("What is no HTTP request", () => {
		const malformed: [what: string, bytes: string, status: string][] = [
			["an unknown method", "FOO /ping HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"],
			["a space in a path", "GET /pi ng HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"],
			["another protocol", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "400 Bad Request"],
			["a header without a colon", "GET /ping HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", "400 Bad Request"],
			[
				"two lengths",
				"POST /v1/note HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
				"400 Bad Request"
			],
			[
				"a length and chunks",
				"POST /v1/note HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
				"400 Bad Request"
			],
			[
				"a long header",
				`GET /ping HTTP/1.1\r\nHost: ${"x".repeat(20_000)}\r\n\r\n`,
				"431 Request Header Fields Too Large"
			],
			[
				"a long id",
				`GET /v1/note/${"1".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
				"431 Request Header Fields Too Large"
			]
		];
		for (const [what, bytes, status] of malformed)
			it(`is answered all the same: ${what}`, async () => {
				const answer = await client.sendBytes(bytes);
				const [head = "", body = ""] = answer.split("\r\n\r\n");
				assert.ok(head.startsWith(`HTTP/1.1 ${status}\r\n`), answer);
				assert.match(head, /\r\nX-Request-ID: [0-9a-f]{32}/);
				const { code, message, data } = JSON.parse(body);
				assert.deepEqual({ code, data }, { code: 10002, data: { errors: [] } });
				assert.ok(status.endsWith(message));
			});

		it("does not keep the gateway from the next request", async () => {
			await client.sendBytes("nonsense\r\n\r\n");
			assertFailure(await client.send("GET", "/v1/user/me"), "unauthorized");
		});
	});
});
