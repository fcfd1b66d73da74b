import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, it, mock } from "node:test";
import { RevokedSessions, tokenOf } from "../../services/api/authenticate.ts";
import { checkMediaType, requestParams } from "../../services/api/params.ts";
import { methodsOf } from "../../services/api/routes.ts";

const request = (headers: Record<string, string | undefined>) => ({ headers }) as unknown as IncomingMessage;
const none = new URLSearchParams();

describe("requestParams()", () => {
	it("takes the path's and the body's fields for a POST, the path's and the query's for a GET", () => {
		assert.deepEqual(requestParams("PUT", { note_id: "1" }, { title: "a" }, none), { note_id: "1", title: "a" });
		assert.deepEqual(requestParams("GET", {}, { ignored: 1 }, new URLSearchParams("limit=5")), { limit: "5" });
	});
	it("gives a name that is repeated in the query as a list", () => {
		assert.deepEqual(requestParams("GET", {}, undefined, new URLSearchParams("a=1&a=2")), { a: ["1", "2"] });
	});
	it("takes no body for no fields", () => {
		assert.deepEqual(requestParams("POST", {}, undefined, none), {});
	});

	const refused: [what: string, body: unknown, search: string, type: string][] = [
		["a list as the body", [1], "", "BODY_NOT_AN_OBJECT"],
		["null as the body", null, "", "BODY_NOT_AN_OBJECT"],
		["a text as the body", "x", "", "BODY_NOT_AN_OBJECT"],
		["a query on a write", { title: "a" }, "x=1", "VALIDATION_ERROR"],
		["a field that the path gives", { note_id: 2 }, "", "VALIDATION_ERROR"],
		["__proto__ as a field", JSON.parse('{"__proto__":{"admin":true}}'), "", "VALIDATION_ERROR"]
	];
	for (const [what, body, search, type] of refused)
		it(`refuses ${what}`, () => {
			assert.throws(() => requestParams("PUT", { note_id: "1" }, body, new URLSearchParams(search)), { type });
		});
	it("refuses __proto__ in the query of a read", () => {
		assert.throws(() => requestParams("GET", {}, undefined, new URLSearchParams("__proto__=x")), {
			type: "VALIDATION_ERROR"
		});
	});
});

describe("checkMediaType()", () => {
	const json = { "content-type": "application/json; charset=utf-8", "content-length": "2" };
	const form = { "content-type": "application/x-www-form-urlencoded", "content-length": "2" };
	it("accepts JSON, and forms where a route takes them", () => {
		checkMediaType(request(json), { method: "POST" });
		checkMediaType(request(form), { method: "POST", form: true });
		checkMediaType(request({}), { method: "POST" });
	});
	for (const headers of [
		form,
		{ "content-length": "2" },
		{ "content-type": "text/json", "transfer-encoding": "chunked" }
	])
		it(`refuses ${JSON.stringify(headers)}`, () => {
			assert.throws(() => checkMediaType(request(headers), { method: "POST" }), { type: "UNSUPPORTED_MEDIA_TYPE" });
		});
});

describe("tokenOf()", () => {
	const cases: [headers: Record<string, string>, token: string | undefined][] = [
		[{ authorization: "Bearer a.b-c_d" }, "a.b-c_d"],
		[{ authorization: "bearer abc" }, "abc"],
		[{ cookie: "x=1; jwt=abc" }, "abc"],
		[{ authorization: "Basic abc", cookie: "jwt=abc" }, undefined],
		[{ authorization: "Bearer  abc" }, undefined],
		[{ authorization: "Bearer" }, undefined],
		[{ cookie: "notjwt=abc" }, undefined],
		[{}, undefined]
	];
	for (const [headers, token] of cases)
		it(`finds ${token} in ${JSON.stringify(headers)}`, () => {
			assert.equal(tokenOf(request(headers)), token);
		});
});

describe("RevokedSessions", () => {
	it("remembers a session as long as its access tokens may live, and no longer", () => {
		mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
		const revoked = new RevokedSessions(60);
		revoked.add(["a"]);
		assert.equal(revoked.has("a"), true);
		assert.equal(revoked.has("b"), false);
		mock.timers.tick(60_001);
		revoked.add(["b"]);
		assert.equal(revoked.has("a"), false);
		mock.timers.reset();
	});
});

describe("methodsOf()", () => {
	it("knows the methods of a path, with or without a trailing slash", () => {
		assert.deepEqual(methodsOf("/v1/note/7").sort(), ["DELETE", "GET", "HEAD", "PUT"]);
		assert.deepEqual(methodsOf("/v1/note/"), ["POST"]);
		assert.deepEqual(methodsOf("/v1/nothing"), []);
		assert.deepEqual(methodsOf("/"), []);
	});
});
