import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { methodsOf, routes, routesAt } from "../../../services/api/routes.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { TestUser } from "../../support/client.ts";

useEnvironment();

/** Every method that Node's parser knows and hands to a server, and a few that a browser's preflight asks for. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "M-SEARCH"];
const paths = [...new Set(routes.map(route => route.path.replace(/:\w+/g, "7")))];

onBothShapes(app => {
	let user: TestUser;
	before(async () => {
		user = await app().client.newUser();
	});

	describe("A known path", () => {
		for (const path of paths) {
			const allowed = methodsOf(routesAt(path));
			for (const method of METHODS.filter(candidate => !allowed.includes(candidate)))
				it(`${path} answers ${method} with 405 and its methods`, async () => {
					const preflight = { "Access-Control-Request-Method": allowed[0] as string };
					for (const headers of [undefined, preflight]) {
						const answer = await app().client.send(method, path, { headers });
						if (method === "HEAD") assert.deepEqual([answer.status, answer.text], [405, ""]);
						else assertFailure(answer, "method");
						assert.equal(answer.headers.allow, allowed.join(", "));
					}
				});
		}

		it("answers 405 before it looks at the body", async () => {
			const headers = { "Content-Type": "application/json" };
			assertFailure(await app().client.send("PATCH", "/v1/note", { raw: "{", headers }), "method");
		});
	});

	describe("HEAD", () => {
		const reads = [...paths.filter(path => methodsOf(routesAt(path)).includes("HEAD")), "/v1/note/abc", "/nothing"];
		for (const path of reads)
			it(`${path} has the status and headers of GET and no body`, async () => {
				const [head, get] = await Promise.all(
					["HEAD", "GET"].map(method => app().client.send(method, path, { token: user.token }))
				);
				assert.equal(head?.text, "");
				assert.equal(head?.status, get?.status);
				assert.equal(head?.headers["content-type"], get?.headers["content-type"]);
				assert.ok(head?.headers["x-request-id"]);
			});
	});

	describe("If-None-Match", () => {
		const conditions = ["*", '"a"', 'W/"a", "b"'];
		const requests: [method: string, status: number][] = [
			["GET", 200],
			["HEAD", 200],
			["PUT", 200],
			["POST", 201],
			["DELETE", 200]
		];
		for (const [method, status] of requests)
			it(`of ${method} changes nothing: no answer has an ETag`, async () => {
				const { client } = app();
				const { token } = user;
				for (const condition of conditions) {
					const { note_id } = await client.newNote(token);
					const json = { POST: { title: "a", content: "b" }, PUT: { title: "b" } }[method];
					const path = method === "POST" ? "/v1/note" : `/v1/note/${note_id}`;
					const headers = { "If-None-Match": condition };
					assert.equal((await client.send(method, path, { token, json, headers })).status, status, condition);
				}
			});
	});

	describe("An unknown path", () => {
		const unknown = [
			...[
				"/",
				"/nothing",
				"/v1",
				"/v1/",
				"/v1/user",
				"/v1/note/7/x",
				"/v1/note//7",
				"//ping",
				"/ping//",
				"/v1/note/7//",
				"/PING",
				"/V1/note",
				"/%70ing"
			],
			...["/ping/../v1/note/query", "/ping%2f", "/.git/config", "/v1/user/constructor", "/v1/note;a=b", "/api/v1/note"]
		];
		for (const path of unknown)
			it(`${path} answers 404 to every method`, async () => {
				for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
					const answer = await app().client.send(method, path, { token: user.token });
					assertFailure(answer, "absent");
					assert.equal(answer.headers.allow, undefined);
				}
			});

		it("answers 404 before it looks at the body", async () => {
			const headers = { "Content-Type": "application/json" };
			assertFailure(await app().client.send("POST", "/nothing", { raw: "{", headers }), "absent");
			assertFailure(await app().client.send("OPTIONS", "*"), "absent");
		});

		const internal = [
			...[
				"/user/find",
				"/user/mget",
				"/v1/user/mget",
				"/v1/user/find",
				"/v1/user/check",
				"/v1/user/setRole",
				"/v1/user/get"
			],
			...[
				"/user.find",
				"/v1/user.find",
				"/note/find",
				"/note/list",
				"/note/mget",
				"/note/insert",
				"/v1/note/find/x",
				"/v1/note.mget"
			],
			...[
				"/~node/list",
				"/$node/list",
				"/%24node/list",
				"/~node/health",
				"/$node/health",
				"/$node/options",
				"/v1/~node/list"
			],
			...[
				"/api/rest",
				"/rest",
				"/api/addRoute",
				"/api/listAliases",
				"/list-aliases",
				"/api/list-aliases",
				"/metrics",
				"/$metrics"
			]
		];
		for (const path of internal)
			it(`${path} leads to no action`, async () => {
				for (const method of ["GET", "POST"]) {
					const json = method === "POST" ? { query: {}, id: 1 } : undefined;
					assertFailure(await app().client.send(method, path, { token: user.token, json }), "absent");
				}
			});
	});

	describe("A path", () => {
		it("may end in a slash", async () => {
			const { client } = app();
			const { token } = user;
			assert.deepEqual((await client.send("GET", "/ping/")).body, { message: "pong" });
			assertSuccess(await client.send("GET", "/v1/note/query/", { token }));
			const { note_id } = await client.newNote(token);
			assertSuccess(await client.send("GET", `/v1/note/${note_id}/`, { token }));
		});

		it("keeps /v1/note/query from being a note's id", async () => {
			const { client } = app();
			const { token } = user;
			for (const method of ["PUT", "DELETE"])
				assertFailure(await client.send(method, "/v1/note/query", { token }), "method");
			assertInvalid(await client.send("GET", "/v1/note/queries", { token }), "note_id");
		});
	});
});
