import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { beforeEach, describe, it } from "node:test";
import type { OpenApiDocument } from "../../fuzz/document.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";

const ATTEMPTS = 4;
useEnvironment({ PASSWORD_MIN_LENGTH: "12", LOGIN_ATTEMPTS: String(ATTEMPTS) });

// The services are imported when an app starts, which is after this: they get the counting function.
const argon2 = createRequire(import.meta.url)("@node-rs/argon2") as {
	verify: (hash: string, password: string) => unknown;
};
const { verify } = argon2;
const verified: string[] = [];
argon2.verify = (hash, password) => {
	verified.push(hash);
	return verify(hash, password);
};

const PASSWORD = "correct horse";
const COST = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/;

beforeEach(() => {
	verified.length = 0;
});

onBothShapes(app => {
	const login = (json: object) => app().client.send("POST", "/v1/user/login", { json });

	describe("A login", () => {
		it("costs one password check at full cost, whether the name exists or not", async () => {
			const { username } = await app().client.newUser();
			verified.length = 0;
			assertSuccess(await login({ username, password: PASSWORD }));
			assertFailure(await login({ username, password: "wrong horse!" }), "unauthorized");
			assertFailure(await login({ username: "nobody at all", password: PASSWORD }), "unauthorized");
			assert.equal(verified.length, 3);
			for (const hash of verified) assert.match(hash, COST);
			const [own, same, nobodys] = verified;
			assert.equal(same, own);
			assert.notEqual(nobodys, own);
		});

		it("costs none when a rule is broken", async () => {
			assertInvalid(await login({ username: "", password: PASSWORD }), "username");
			assertInvalid(await login({ username: "a", password: "x".repeat(129) }), "password");
			assert.equal(verified.length, 0);
		});

		it("needs no more characters than any password ever had to have", async () => {
			assertFailure(await login({ username: "nobody at all", password: "x" }), "unauthorized");
		});
	});

	describe("Guesses at a password", () => {
		it("count together however the name is spelled, and also where there is no such name", async () => {
			const name = `οδοσ ${app().broker.nodeID} ǰ`;
			const spellings = [name.toUpperCase(), `  ${name}`, name.replace("σ", "ς"), name.normalize("NFD")];
			assert.equal(spellings.length, ATTEMPTS);
			for (const username of spellings)
				assertFailure(await login({ username, password: "wrong horse!" }), "unauthorized");
			verified.length = 0;
			assertFailure(await login({ username: name, password: "wrong horse!" }), "tooMany");
			assert.equal(verified.length, 0);
		});

		it("count under a used Idempotency-Key, too; nothing else there does", async () => {
			const username = `guessed ${app().broker.nodeID}`;
			const register = (password: string, key = "known") => {
				const headers = { "Idempotency-Key": key };
				return app().client.send("POST", "/v1/user/register", { json: { username, password }, headers });
			};
			for (let i = 0; i <= ATTEMPTS; i++) assertSuccess(await register(PASSWORD), 201);
			for (let i = 0; i <= ATTEMPTS; i++) assertInvalid(await register("short"), "password");
			for (let i = 0; i < ATTEMPTS; i++) assertFailure(await register(`wrong horse ${i}`), "invalid");
			for (const password of ["another horse", PASSWORD]) assertFailure(await register(password), "tooMany");
			assertFailure(await register("another horse", "another"), "taken");
			assertSuccess(await login({ username, password: PASSWORD }));
		});
	});

	describe("PASSWORD_MIN_LENGTH", () => {
		it("is the least length of a new password, in characters", async () => {
			const { client } = app();
			const { token, password } = await client.newUser(undefined, "👍".repeat(12));
			const change = (new_password: string) =>
				client.send("PUT", "/v1/user/password", { token, json: { old_password: password, new_password } });
			for (const short of ["x".repeat(11), "👍".repeat(11)]) {
				const json = { username: "never", password: short };
				assertInvalid(await client.send("POST", "/v1/user/register", { json }), "password");
				assertInvalid(await change(short), "new_password");
			}
			assertSuccess(await change("x".repeat(12)));
		});

		it("is what the document says", async () => {
			const { paths } = (await app().client.send("GET", "/openapi.json")).body as unknown as OpenApiDocument;
			const lengthOf = (path: string, method: string, field: string) =>
				paths[path]?.[method]?.requestBody?.content["application/json"]?.schema.properties?.[field]?.minLength;
			assert.equal(lengthOf("/v1/user/register", "post", "password"), 12);
			assert.equal(lengthOf("/v1/user/password", "put", "new_password"), 12);
			assert.equal(lengthOf("/v1/user/password", "put", "old_password"), 1);
		});
	});
});
