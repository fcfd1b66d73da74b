import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startApp, useEnvironment } from "../support/app.ts";
import type { RequestOptions } from "../support/client.ts";
import { contractOf } from "./contract.ts";
import { type OpenApiDocument, operationsOf } from "./document.ts";

useEnvironment();

/** What the fuzzer has found once, each in its smallest form. `{own}` is a note of the user. */
const found: [what: string, operation: string, path: string, options: RequestOptions, status: number][] = [
	[
		"a title of null was answered with 500",
		"note.update",
		"/v1/note/{own}",
		{ json: { title: null, version: 1 } },
		422
	],
	[
		"a version of null was taken for none",
		"note.update",
		"/v1/note/{own}",
		{ json: { title: "a", version: null } },
		422
	],
	["a field on a route without fields was refused, which was not documented", "api.ping", "/ping?user_id=", {}, 422],
	["the same where a token is needed", "user.me", "/v1/user/me?user_id=", {}, 422],
	["a query that is not percent-encoded was refused, which was not documented", "api.live", "/healthz?%", {}, 400],
	[
		"a body of another type on a read was refused, which was not documented",
		"note.get",
		"/v1/note/{own}",
		{ raw: "x", headers: { "Content-Type": "text/plain" } },
		415
	],
	[
		"a body too large for a route without a body was refused, which was not documented",
		"user.logout",
		"/v1/user/logout",
		{ raw: `"${"a".repeat(600_000)}"`, headers: { "Content-Type": "application/json" } },
		413
	],
	[
		"a login was documented with another place of the user's id",
		"user.login",
		"/v1/user/login",
		{ json: { username: "{username}", password: "correct horse" } },
		200
	]
];

describe("What the fuzzer has found", () => {
	for (const [what, operationId, path, options, status] of found)
		it(`is gone: ${what}`, async t => {
			const { client } = await startApp(t);
			const { token, username } = await client.newUser();
			const created = await client.send("POST", "/v1/note", { token, json: { title: "a", content: "b" } });
			const own = String((created.body.data as { note_id: number }).note_id);
			const document = JSON.parse((await client.send("GET", "/openapi.json")).text) as OpenApiDocument;
			const operation = operationsOf(document).find(candidate => candidate.operationId === operationId);
			assert.ok(operation);

			const json = options.json && JSON.parse(JSON.stringify(options.json).replace("{username}", username));
			const answer = await client.send(operation.method, path.replace("{own}", own), {
				token,
				...options,
				...(json && { json })
			});
			assert.equal(answer.status, status, answer.text);
			assert.deepEqual(contractOf(document).breaches(operation, operation.method, answer), []);
		});
});

describe("The fuzzer's judge", () => {
	it("sees what breaks the contract", async t => {
		const { client } = await startApp(t);
		const document = JSON.parse((await client.send("GET", "/openapi.json")).text) as OpenApiDocument;
		const operations = operationsOf(document);
		const operation = operations.find(({ operationId }) => operationId === "note.get");
		assert.ok(operation);
		const { breaches } = contractOf(document);
		const headers = { "content-type": "application/json; charset=utf-8", "x-request-id": "0".repeat(32) };
		const answer = (status: number, body: unknown, more: object = {}) => ({
			status,
			headers: { ...headers, ...more },
			text: JSON.stringify(body),
			body: body as never
		});
		const failure = { code: 10006, message: "Not found", data: null };
		assert.deepEqual(breaches(operation, "GET", answer(404, failure)), []);

		const broken: [what: string, method: string, answer: ReturnType<typeof answer>][] = [
			["500", "GET", answer(500, failure)],
			["a status that is not documented", "GET", answer(418, failure)],
			["a missing field", "GET", answer(404, { code: 10006, message: "Not found" })],
			["a note without its fields", "GET", answer(200, { code: 0, message: "Success", data: {} })],
			["405 without Allow", "PATCH", answer(405, failure)],
			["no request id", "GET", answer(404, failure, { "x-request-id": undefined })],
			["another type", "GET", answer(404, failure, { "content-type": "text/html" })],
			["a stack", "GET", answer(404, { ...failure, message: "at Object.run (/x/node_modules/y.js)" })]
		];
		for (const [what, method, given] of broken) assert.ok(breaches(operation, method, given).length > 0, what);
	});
});
