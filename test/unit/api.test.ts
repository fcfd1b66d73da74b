import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, it, mock } from "node:test";
import type { FieldError } from "../../lib/errors.ts";
import { RevokedSessions, tokenOf } from "../../services/api/authenticate.ts";
import { checkBody } from "../../services/api/body.ts";
import { type Params, requestParams, urlencodedFields } from "../../services/api/params.ts";
import { methodsOf, routesAt } from "../../services/api/routes.ts";

const request = (headers: Record<string, string | undefined>) => ({ headers }) as unknown as IncomingMessage;
const number = { type: "number" };
const read = { method: "GET", params: { limit: number, key: { type: "string" } } };
const write = { method: "PUT", params: { note_id: number, title: { type: "string" }, version: number } };
const parts = (given: { path?: Params; query?: Params; body?: Params }) => ({
	path: {},
	query: {},
	body: {},
	...given
});

describe("requestParams()", () => {
	it("takes the path's and the body's fields for a PUT, the path's and the query's for a GET", () => {
		const given = parts({ path: { note_id: "1" }, body: { title: "a" } });
		assert.deepEqual(requestParams(write, given), { note_id: 1, title: "a" });
		assert.deepEqual(requestParams(read, parts({ query: { limit: "5", key: "5" } })), { limit: 5, key: "5" });
	});
	it("takes no fields for no fields, also where the route takes none", () => {
		assert.deepEqual(requestParams({ method: "POST" }, parts({})), {});
	});
	it("leaves the numbers of a body as they are", () => {
		const given = parts({ path: { note_id: "1" }, body: { version: "7" } });
		assert.deepEqual(requestParams(write, given), { note_id: 1, version: "7" });
	});
	for (const text of ["07", "+7", " 7", "7 ", "7.0", "7e0", "0x7", "", "1e999", "Infinity", "NaN", "9007199254740993"])
		it(`does not take ${JSON.stringify(text)} for a number, in query and path`, () => {
			const expected = (field: string) => ({
				type: "VALIDATION_ERROR",
				data: [{ field, type: "number", message: `The '${field}' field must be a number.` }]
			});
			assert.throws(() => requestParams(read, parts({ query: { limit: text } })), expected("limit"));
			assert.throws(() => requestParams(write, parts({ path: { note_id: text } })), expected("note_id"));
		});
	for (const text of ["7", "-1", "1.5", "0"])
		it(`takes ${text} for a number, which its rule may refuse`, () => {
			assert.deepEqual(requestParams(read, parts({ query: { limit: text } })), { limit: Number(text) });
		});

	const path = { note_id: "1" };
	const proto = JSON.parse('{"__proto__":{"admin":true}}') as Params;
	const refused: [what: string, route: typeof read | { method: string }, given: object, names: string[]][] = [
		[
			"a query on a write, naming each field",
			write,
			{ path, body: { title: "a" }, query: { x: "1", y: "2" } },
			["x", "y"]
		],
		["a body on a read", read, { body: { limit: 1 } }, ["limit"]],
		["a field that the path gives", write, { path, body: { note_id: 2 } }, ["note_id"]],
		["a field where the route takes none", { method: "POST" }, { body: { a: 1 } }, ["a"]],
		["__proto__ in a body", write, { path, body: proto }, ["__proto__"]],
		["__proto__ in a query", read, { query: JSON.parse('{"__proto__":"x"}') }, ["__proto__"]],
		["a list", write, { path, body: { title: [[["a"]]] } }, ["title"]],
		["an object", write, { path, body: { title: { toString: 1 } } }, ["title"]],
		["a repeated field of a query", read, { query: { limit: ["1", "1"] } }, ["limit"]]
	];
	for (const [what, route, given, names] of refused)
		it(`refuses ${what}`, () => {
			assert.throws(
				() => requestParams(route, parts(given)),
				({ type, data }: { type: string; data: FieldError[] }) => {
					assert.deepEqual([type, data.map(error => error.field)], ["VALIDATION_ERROR", names]);
					return true;
				}
			);
		});
	it("leaves null to the rules", () => {
		assert.deepEqual(requestParams(read, parts({ query: { key: null } })), { key: null });
	});
});

describe("urlencodedFields()", () => {
	it("reads text in UTF-8, with + for a blank", () => {
		assert.deepEqual(urlencodedFields("a=1+2&b=%C3%A9&c=\u00e9&d"), { a: "1 2", b: "é", c: "é", d: "" });
	});
	it("gives a name that is repeated as a list, and keeps __proto__ a field", () => {
		const fields = urlencodedFields("a=1&a=2&__proto__=x");
		assert.deepEqual(Object.entries(fields), [
			["a", ["1", "2"]],
			["__proto__", "x"]
		]);
	});
	for (const text of ["a=%ff", "a=%", "a=%zz", "%ED%A0%80=1", "a=%C3"])
		it(`refuses ${text}`, () => {
			assert.throws(() => urlencodedFields(text), { type: "MALFORMED_ENCODING" });
		});
	it("takes a hundred thousand names in one go", () => {
		const text = Array.from({ length: 100_000 }, (_, i) => i.toString(36)).join("&");
		assert.equal(Object.keys(urlencodedFields(text)).length, 100_000);
	});
});

describe("checkBody()", () => {
	const body = (type?: string) => request({ "content-type": type, "content-length": "2" });
	const form = "application/x-www-form-urlencoded";
	it("accepts JSON, and forms where a route takes them", () => {
		for (const type of ["application/json", "Application/JSON; charset=UTF-8", 'application/json; charset="utf-8"'])
			checkBody(body(type), {});
		checkBody(body(form), { form: true });
	});
	it("accepts any type of no body", () => {
		checkBody(request({}), {});
		checkBody(request({ "content-type": "text/plain", "content-length": "0" }), {});
	});
	const refused = [form, undefined, "", "json", "text/json", "application/jsonx", "application/json; charset=utf-16"];
	for (const type of refused)
		it(`refuses ${type}`, () => {
			assert.throws(() => checkBody(body(type), {}), { type: "UNSUPPORTED_MEDIA_TYPE" });
			if (type !== form) assert.throws(() => checkBody(body(type), { form: true }), { type: "NEITHER_JSON_NOR_FORM" });
		});
	it("refuses a body that says it is too large", () => {
		const ofLength = (length: number) => request({ "content-type": "application/json", "content-length": `${length}` });
		checkBody(ofLength(524_288), {});
		assert.throws(() => checkBody(ofLength(524_289), {}), { type: "BODY_TOO_LARGE" });
	});
	it("takes a body that is sent in chunks for one", () => {
		const headers = { "content-type": "text/plain", "transfer-encoding": "chunked" };
		assert.throws(() => checkBody(request(headers), {}), { type: "UNSUPPORTED_MEDIA_TYPE" });
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

describe("routesAt()", () => {
	const methods = (path: string) => methodsOf(routesAt(path)).sort();
	it("knows the routes of a path, with or without a trailing slash", () => {
		assert.deepEqual(methods("/v1/note/7"), ["DELETE", "GET", "HEAD", "PUT"]);
		assert.deepEqual(methods("/v1/note/"), ["POST"]);
		assert.deepEqual(methods("/v1/nothing"), []);
		assert.deepEqual(methods("/"), []);
	});
	it("prefers a path without parameters", () => {
		assert.deepEqual(methods("/v1/note/query"), ["GET", "HEAD"]);
	});
});
