import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { SignJWT } from "jose";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, Client, TestUser } from "../../support/client.ts";

const SECRET = "the-first-secret-is-at-least-32-bytes";
const OLD_SECRET = "the-older-secret-is-at-least-32-bytes";
useEnvironment({ JWT_KEYS: `new:${SECRET},old:${OLD_SECRET}` });

interface Forgery {
	header?: object;
	claims?: object;
	secret?: string;
}

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	before(async () => {
		client = app().client;
		user = await client.newUser();
	});

	const me = (headers: Record<string, string>) => client.send("GET", "/v1/user/me", { headers });
	const bearer = (token: string) => me({ Authorization: `Bearer ${token}` });
	const decoded = (part: 0 | 1) => JSON.parse(Buffer.from(user.token.split(".")[part] ?? "", "base64url").toString());
	const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

	/** The user's token with changes, signed. */
	async function forged({ header = {}, claims = {}, secret = SECRET }: Forgery = {}): Promise<string> {
		return new SignJWT({ ...decoded(1), ...claims })
			.setProtectedHeader({ ...decoded(0), ...header })
			.sign(new TextEncoder().encode(secret));
	}
	const now = () => Math.floor(Date.now() / 1000);

	describe("An access token", () => {
		it("lets its user in, with the key that signs and with any older one", async () => {
			for (const token of [user.token, await forged(), await forged({ header: { kid: "old" }, secret: OLD_SECRET })]) {
				const found = assertSuccess<{ user_id: number }>(await bearer(token));
				assert.equal(found.user_id, user.user_id);
			}
		});

		it("names its key, type and session, and nothing secret", () => {
			assert.deepEqual(decoded(0), { alg: "HS256", kid: "new", typ: "at+jwt" });
			assert.deepEqual(Object.keys(decoded(1)).sort(), ["aud", "exp", "iat", "iss", "role", "sid", "sub"]);
		});

		const forgeries: Record<string, () => Forgery> = {
			"that has expired": () => ({ claims: { exp: now() - 1 } }),
			"that is not valid yet": () => ({ claims: { nbf: now() + 3600 } }),
			"without an end": () => ({ claims: { exp: undefined } }),
			"without a user": () => ({ claims: { sub: undefined } }),
			"without a session": () => ({ claims: { sid: undefined } }),
			"of another issuer": () => ({ claims: { iss: "evil" } }),
			"without an issuer": () => ({ claims: { iss: undefined } }),
			"for another audience": () => ({ claims: { aud: "notemesh-admin" } }),
			"without an audience": () => ({ claims: { aud: undefined } }),
			"of another type": () => ({ header: { typ: "JWT" } }),
			"without a type": () => ({ header: { typ: undefined } }),
			"signed with another secret": () => ({ secret: "some-other-secret-of-at-least-32-bytes" }),
			"signed with an older secret under the newer name": () => ({ secret: OLD_SECRET }),
			"of an unknown key": () => ({ header: { kid: "other" } }),
			"of a key by the name of an object's own": () => ({ header: { kid: "__proto__" } }),
			"without a key": () => ({ header: { kid: undefined } }),
			"with a stronger algorithm": () => ({ header: { alg: "HS512" } }),
			"with an embedded key": () => ({ header: { jwk: { kty: "oct", k: "AA" }, kid: "none" } }),
			"with an unknown critical extension": () => ({ header: { crit: ["exp"], exp: 1 } })
		};
		for (const [what, forgery] of Object.entries(forgeries))
			it(`${what} is refused`, async () => {
				const token = await forged(forgery()).catch(() => undefined);
				// The library refuses to make some of them: they are put together by hand, with a signature of zeros.
				const { header, claims } = forgery();
				const handmade = `${encoded({ ...decoded(0), ...header })}.${encoded({ ...decoded(1), ...claims })}.${"A".repeat(43)}`;
				assertFailure(await bearer(token ?? handmade), "unauthorized");
			});

		const malformed: Record<string, () => string> = {
			"with algorithm none": () => `${encoded({ ...decoded(0), alg: "none" })}.${user.token.split(".")[1]}.`,
			"with algorithm None and a signature": () =>
				`${encoded({ ...decoded(0), alg: "None" })}.${user.token.split(".").slice(1).join(".")}`,
			"with other claims under its signature": () => {
				const [head, , signature] = user.token.split(".");
				return `${head}.${encoded({ ...decoded(1), sub: "1", role: "admin" })}.${signature}`;
			},
			"without its signature": () => user.token.split(".").slice(0, 2).join("."),
			"with an empty signature": () => `${user.token.split(".").slice(0, 2).join(".")}.`,
			"with one letter changed": () =>
				user.token.replace(/.(.{9})$/, (last, rest) => `${last[0] === "A" ? "B" : "A"}${rest}`),
			"with a part too many": () => `${user.token}.x`,
			"that is a word": () => "token",
			"that is dots": () => "..",
			"that is its refresh token": () => user.refresh_token,
			"that is long": () => "a".repeat(8000)
		};
		for (const [what, token] of Object.entries(malformed))
			it(`${what} is refused`, async () => {
				assertFailure(await bearer(token()), "unauthorized");
			});
	});

	describe("A request", () => {
		const refused: Record<string, () => Record<string, string>> = {
			"without credentials": () => ({}),
			"with an empty header": () => ({ Authorization: "" }),
			"with a scheme only": () => ({ Authorization: "Bearer" }),
			"with the token only": () => ({ Authorization: user.token }),
			"with another scheme": () => ({ Authorization: `Basic ${user.token}` }),
			"with Token as scheme": () => ({ Authorization: `Token ${user.token}` }),
			"with two tokens": () => ({ Authorization: `Bearer ${user.token}, Bearer ${user.token}` }),
			"with two blanks": () => ({ Authorization: `Bearer  ${user.token}` }),
			"with a token in quotes": () => ({ Authorization: `Bearer "${user.token}"` }),
			"with an empty cookie": () => ({ Cookie: "jwt=" }),
			"with a cookie of another name": () => ({ Cookie: `token=${user.token}; xjwt=${user.token}; JWT=${user.token}` }),
			"with a bad header and a good cookie": () => ({ Authorization: "Bearer x", Cookie: `jwt=${user.token}` }),
			"with a password instead": () => ({
				Authorization: `Basic ${Buffer.from(`${user.username}:${user.password}`).toString("base64")}`
			}),
			"with headers of a proxy": () => ({ "X-User-Id": "1", "X-Forwarded-User": "1", "X-Auth-Token": user.token })
		};
		for (const [what, headers] of Object.entries(refused))
			it(`${what} is refused`, async () => {
				assertFailure(await me(headers()), "unauthorized");
			});

		const accepted: Record<string, () => Record<string, string>> = {
			"with a header": () => ({ Authorization: `Bearer ${user.token}` }),
			"with a scheme in lower case": () => ({ Authorization: `bearer ${user.token}` }),
			"with a cookie": () => ({ Cookie: `jwt=${user.token}` }),
			"with a cookie among others": () => ({ Cookie: `a=b;  jwt=${user.token}; c=d` }),
			"with a good header and a bad cookie": () => ({ Authorization: `Bearer ${user.token}`, Cookie: "jwt=x" })
		};
		for (const [what, headers] of Object.entries(accepted))
			it(`${what} is let in`, async () => {
				assertSuccess(await me(headers()));
			});

		it("is not let in by a token in the query, and that field is unknown", async () => {
			for (const name of ["token", "jwt", "access_token", "authorization", "Authorization"]) {
				const path = `/v1/note/query?${name}=${user.token}`;
				const answers: Answer[] = [
					await client.send("GET", path),
					await client.send("GET", path, { token: user.token })
				];
				for (const answer of answers) assert.ok(!answer.text.includes(user.token));
				assert.notEqual(answers[0]?.status, 200);
				assertInvalid(answers[1] as Answer, name);
			}
		});

		it("is not let in by a token in the body", async () => {
			const answer = await client.send("POST", "/v1/user/logout", { json: { token: user.token } });
			assert.notEqual(answer.status, 200);
			assertSuccess(await bearer(user.token));
		});
	});
});
