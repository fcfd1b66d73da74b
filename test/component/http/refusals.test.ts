import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { RouteDefinition } from "../../../services/api/routes.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { newAdmin, onBothShapes, useEnvironment } from "../../support/app.ts";
import type { RequestOptions, TestUser } from "../../support/client.ts";
import { sampleRequests } from "../../support/requests.ts";

useEnvironment();

const samples = sampleRequests("9007199254740991");
const takesBody = (route: RouteDefinition) => route.method === "POST" || route.method === "PUT";
const withField = (options: RequestOptions, field: object): RequestOptions => ({
	...options,
	json: { ...(options.json as object), ...field }
});

describe("Every route", () => {
	onBothShapes(app => {
		let user: TestUser;
		before(async () => {
			user = await newAdmin(app());
		});

		for (const { name, route, path, options } of samples) {
			const send = (extra: RequestOptions = {}, query = "") =>
				app().client.send(route.method, path + query, { token: user.token, ...options, ...extra });

			if (route.auth)
				it(`${name} answers 401 to a good request without a token`, async () => {
					assertFailure(await app().client.send(route.method, path, options), "unauthorized");
				});

			it(`${name} refuses an unknown field of the query, by name`, async () => {
				assertInvalid(await send({}, "?first=1&second=2"), "first", "second");
			});

			it(`${name} refuses an unknown field of the body, by name`, async () => {
				const answer = await send(withField(options, { surprise: true, constructor: 1 }));
				assertInvalid(answer, "constructor", "surprise");
			});

			it(`${name} refuses prototype keys`, async () => {
				const json = JSON.stringify(options.json ?? {});
				const raw = json.replace(/^\{/, `{"__proto__":{"admin":true}${json === "{}" ? "" : ","}`);
				const answer = await send({ raw, json: undefined, headers: { "Content-Type": "application/json" } });
				assertInvalid(answer, "__proto__");
				for (const key of ["__proto__", "prototype", "constructor"]) assertInvalid(await send({}, `?${key}=1`), key);
				assert.equal(({} as { admin?: boolean }).admin, undefined);
			});

			it(`${name} refuses broken JSON`, async () => {
				assertFailure(
					await send({ json: undefined, raw: "{", headers: { "Content-Type": "application/json" } }),
					"unreadable"
				);
			});

			it(`${name} refuses a body of another type`, async () => {
				assertFailure(
					await send({ json: undefined, raw: "a=1", headers: { "Content-Type": "text/plain" } }),
					"mediaType"
				);
			});

			it(`${name} refuses a body that is too large`, async () => {
				const raw = Buffer.alloc(512 * 1024 + 1, " ");
				assertFailure(
					await send({ json: undefined, raw, headers: { "Content-Type": "application/json" } }),
					"tooLarge"
				);
			});

			if (takesBody(route) && options.json)
				it(`${name} refuses its fields in the query`, async () => {
					const names = Object.keys(options.json ?? {});
					const query = `?${names.map(field => `${field}=x`).join("&")}`;
					assertInvalid(await send({}, query), ...names);
				});
		}

		for (const method of ["GET", "PUT", "DELETE"])
			it(`${method} of a note that is not there answers 404`, async () => {
				const json = method === "PUT" ? { title: "x" } : undefined;
				const { client } = app();
				assertFailure(await client.send(method, "/v1/note/9007199254740991", { token: user.token, json }), "absent");
			});

		it("POST /v1/user/register answers 409 for a taken name, 201 and where the user is otherwise", async () => {
			const { client } = app();
			const credentials = { username: user.username, password: "123456" };
			assertFailure(await client.send("POST", "/v1/user/register", { json: credentials }), "taken");
			const fresh = { ...credentials, username: `${user.username}!` };
			const created = await client.send("POST", "/v1/user/register", { json: fresh });
			assert.deepEqual(Object.keys(assertSuccess<object>(created, 201)), ["user_id"]);
			assert.equal(created.headers.location, "/v1/user/me");
		});

		it("POST /v1/user/login answers a wrong password and an unknown name with the same bytes", async () => {
			const login = (username: string) =>
				app().client.send("POST", "/v1/user/login", { json: { username, password: "wrong!" } });
			const [wrong, unknown] = [await login(user.username), await login("nobody at all")];
			assertFailure(wrong, "unauthorized");
			assert.equal(unknown.status, wrong.status);
			assert.equal(unknown.text, wrong.text);
		});

		it("PUT /v1/note/:note_id answers 409 for a stale version, with the version that is good", async () => {
			const { client } = app();
			const { note_id } = await client.newNote(user.token);
			const change = (version: number) =>
				client.send("PUT", `/v1/note/${note_id}`, { token: user.token, json: { title: "Changed", version } });
			assertSuccess(await change(1));
			const stale = await change(1);
			assertFailure(stale, "stale");
			assert.deepEqual(stale.body.data, { version: 2 });
		});
	});
});
