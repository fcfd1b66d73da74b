import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { RequestOptions, TestUser } from "../../support/client.ts";

useEnvironment();

const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };

onBothShapes(app => {
	let user: TestUser;
	before(async () => {
		user = await app().client.newUser();
	});
	const register = (options: RequestOptions) => app().client.send("POST", "/v1/user/register", options);

	describe("A form", () => {
		let names = 0;
		const newName = () => `form-${app().broker.nodeID}-${++names}`;

		it("registers and logs in as JSON does", async () => {
			const username = newName();
			assertSuccess(await register({ form: { username, password: "100% geheim & süß" } }), 201);
			for (const type of ["form", "json"]) {
				const login = { [type]: { username, password: "100% geheim & süß" } };
				assertSuccess(await app().client.send("POST", "/v1/user/login", login));
			}
		});

		it("may hold raw UTF-8 and blanks as plus signs", async () => {
			const username = newName();
			const raw = `username=${username}+é&password=a+b+c+d`;
			assertSuccess(await register({ raw, headers: FORM_TYPE }), 201);
			await app().client.login(`${username} é`, "a b c d");
		});

		it("is named by those that refuse another type", async () => {
			for (const [path, message] of [
				["/v1/user/register", "The body must be JSON or a form"],
				["/v1/user/login", "The body must be JSON or a form"],
				["/v1/user/refresh", "The body must be JSON"]
			] as const) {
				const answer = await app().client.send("POST", path, { raw: "a=1", headers: { "Content-Type": "text/plain" } });
				assertFailure(answer, "mediaType");
				assert.equal(answer.body.message, message);
			}
		});

		it("is taken by no other route", async () => {
			const form = { title: "a", content: "b", refresh_token: "x", old_password: "123456", new_password: "123456" };
			for (const [method, path] of [
				["POST", "/v1/note"],
				["POST", "/v1/user/refresh"],
				["PUT", "/v1/user/password"],
				["POST", "/v1/user/logout"]
			] as const)
				assertFailure(await app().client.send(method, path, { token: user.token, form }), "mediaType");
		});

		const invalid: [what: string, raw: string, ...fields: string[]][] = [
			["a repeated field", "username=a&username=b&password=123456", "username"],
			["brackets", "username[x]=a&password=123456", "username", "username[x]"],
			["an unknown field", "username=a&password=123456&admin=1", "admin"],
			["__proto__", "username=a&password=123456&__proto__=x", "__proto__"],
			["constructor", "username=a&password=123456&constructor=x", "constructor"],
			["toString", "username=a&password=123456&toString=x", "toString"],
			["a nameless field", "username=a&password=123456&=x", ""],
			["no value", "username&password=123456", "username"],
			["nothing", "&", "username", "password"],
			["NUL", "username=a%00b&password=123456", "username"]
		];
		for (const [what, raw, ...fields] of invalid)
			it(`with ${what} is refused by field`, async () => {
				assertInvalid(await register({ raw, headers: FORM_TYPE }), ...fields);
			});

		const unreadable: [what: string, raw: string | Buffer][] = [
			["percent-encoded bytes that are not UTF-8", "username=%ff&password=123456"],
			["a percent-encoded half of a surrogate pair", "username=%ED%A0%80&password=123456"],
			["a bare percent sign", "username=100%&password=123456"],
			["raw bytes that are not UTF-8", Buffer.from("username=\xe9&password=123456", "latin1")]
		];
		for (const [what, raw] of unreadable)
			it(`with ${what} is refused`, async () => {
				assertFailure(await register({ raw, headers: FORM_TYPE }), "unreadable");
			});

		it("of a hundred thousand fields is refused", async () => {
			const raw = Array.from({ length: 100_000 }, (_, i) => i.toString(36)).join("&");
			assertFailure(await register({ raw, headers: FORM_TYPE }), "invalid");
		});
	});
});
