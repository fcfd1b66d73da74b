import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import type { Sequelize } from "sequelize";
import type { AuditPage } from "../../services/audit/audit.contract.ts";
import type { SessionStore } from "../../services/user/user.sessions.ts";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import type { TestUser } from "../support/client.ts";
import { until } from "../support/until.ts";

const SECRET = "the secret of the test has 32 bytes and more";
useEnvironment({ JWT_KEYS: `k1:${SECRET}`, LOGIN_ATTEMPTS: "0" });

let app: App;
let victim: TestUser;
/** A server of the attacker's: nobody must ask it for a key. */
let visits = 0;
const keyServer = createServer((_req, res) => {
	visits++;
	res.end('{"keys":[]}');
});
let keyUrl: string;

before(async () => {
	app = await startApp({ after: () => {} });
	victim = await app.client.newUser();
	await new Promise<void>(resolve => keyServer.listen(0, "127.0.0.1", resolve));
	keyUrl = `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/jwks.json`;
});
after(async () => {
	await app.stop();
	keyServer.close();
});

type Json = Record<string, unknown>;
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const partsOf = (token: string) => token.split(".") as [string, string, string];
const decoded = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString()) as Json;

/** The victim's token with another header and other claims, signed in any way. */
function varied(header: Json, claims: Json, signature: (text: string) => string): string {
	const [givenHeader, givenClaims] = partsOf(victim.token);
	const text = `${part({ ...decoded(givenHeader), ...header })}.${part({ ...decoded(givenClaims), ...claims })}`;
	return `${text}.${signature(text)}`;
}

const hmac =
	(secret: string | Buffer, hash = "sha256") =>
	(text: string) =>
		createHmac(hash, secret).update(text).digest("base64url");
const oldSignature = () => partsOf(victim.token)[2];
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const publicPem = publicKey.export({ type: "spki", format: "pem" }) as string;
const rsa = (text: string) => sign("sha256", Buffer.from(text), privateKey).toString("base64url");
const now = () => Math.floor(Date.now() / 1000);

const me = (headers: Record<string, string>) => app.client.send("GET", "/v1/user/me", { headers });
const asBearer = (token: string) => me({ Authorization: `Bearer ${token}` });

describe("API2: a token over HTTP", () => {
	it("is taken when it is right: what the attacks below vary", async () => {
		assert.equal((await asBearer(victim.token)).status, 200);
		assert.equal((await asBearer(varied({}, {}, hmac(SECRET)))).status, 200);
	});

	const attacks: [what: string, token: () => string][] = [
		["alg none", () => varied({ alg: "none" }, {}, () => "")],
		["alg None", () => varied({ alg: "None" }, {}, () => "")],
		["alg none, with the old signature", () => varied({ alg: "none" }, {}, oldSignature)],
		["no alg", () => varied({ alg: undefined }, {}, hmac(SECRET))],
		["an alg that is a list", () => varied({ alg: ["HS256"] }, {}, hmac(SECRET))],
		["RS256, signed with the attacker's key", () => varied({ alg: "RS256" }, {}, rsa)],
		["HS256 with a public key as the secret", () => varied({}, { sub: "1" }, hmac(publicPem))],
		["HS384 with the right secret", () => varied({ alg: "HS384" }, {}, hmac(SECRET, "sha384"))],
		["an empty secret", () => varied({}, { sub: "1" }, hmac(""))],
		["the kid as the secret", () => varied({}, { sub: "1" }, hmac("k1"))],
		["other claims under the old signature", () => varied({}, { sub: "1", role: "admin" }, oldSignature)],
		["no signature", () => varied({}, {}, () => "")],
		["a kid that is a path", () => varied({ kid: "../../../../dev/null" }, {}, hmac(""))],
		["a kid that is SQL", () => varied({ kid: "x' UNION SELECT 'key' --" }, {}, hmac("key"))],
		["a kid that every object has", () => varied({ kid: "__proto__" }, {}, hmac("[object Object]"))],
		["a kid that is a method", () => varied({ kid: "constructor" }, {}, hmac(""))],
		["a kid that is no text", () => varied({ kid: { toString: "k1" } }, {}, hmac(SECRET))],
		["no kid", () => varied({ kid: undefined }, {}, hmac(SECRET))],
		["a key of its own (jwk)", () => varied({ alg: "RS256", jwk: publicKey.export({ format: "jwk" }) }, {}, rsa)],
		["a key set of its own (jku)", () => varied({ alg: "RS256", jku: keyUrl, kid: "evil" }, {}, rsa)],
		["a certificate of its own (x5u)", () => varied({ alg: "RS256", x5u: keyUrl, kid: "evil" }, {}, rsa)],
		["a critical header that is unknown", () => varied({ crit: ["exp", "x"] }, {}, hmac(SECRET))],
		["an encrypted token", () => "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA"],
		["another type", () => varied({ typ: "JWT" }, {}, hmac(SECRET))],
		["another issuer", () => varied({}, { iss: "evil" }, hmac(SECRET))],
		["another audience", () => varied({}, { aud: "other" }, hmac(SECRET))],
		["its end in the past", () => varied({}, { exp: now() - 1 }, hmac(SECRET))],
		["no end", () => varied({}, { exp: undefined }, hmac(SECRET))],
		["an end that is text", () => varied({}, { exp: "never" }, hmac(SECRET))],
		["its beginning in the future", () => varied({}, { nbf: now() + 3600 }, hmac(SECRET))],
		["no session", () => varied({}, { sid: undefined }, hmac(SECRET))],
		["100 kB", () => `${victim.token}${"A".repeat(100_000)}`],
		["two tokens", () => `${victim.token}, ${victim.token}`],
		["padding", () => `${victim.token}==`],
		["four parts", () => `${victim.token}.x`]
	];
	for (const [what, token] of attacks)
		it(`is refused with ${what}`, async () => {
			const answer = await asBearer(token());
			if (answer.status !== 431) assertFailure(answer, "unauthorized");
			const asCookie = await me({ Cookie: `jwt=${token()}` });
			if (asCookie.status !== 431) assertFailure(asCookie, "unauthorized");
			assert.equal(visits, 0, "a key was fetched from where the token says");
		});

	it("gives no more rights than were signed: a user who says admin under a wrong key stays out", async () => {
		const { status } = await asBearer(varied({}, { role: "admin" }, hmac("x".repeat(32))));
		assert.equal(status, 401);
	});
});

describe("API2: where a token may stand", () => {
	it("not: the query, which is no place for it at all", async () => {
		for (const name of ["token", "access_token", "jwt", "Authorization"])
			assertFailure(await app.client.send("GET", `/v1/user/me?${name}=${victim.token}`), "invalid");
	});

	const refused: [what: string, headers: () => Record<string, string>][] = [
		["another scheme", () => ({ Authorization: `Basic ${victim.token}` })],
		["a scheme without a blank", () => ({ Authorization: `Bearer${victim.token}` })],
		["a scheme with two blanks", () => ({ Authorization: `Bearer  ${victim.token}` })],
		["no scheme", () => ({ Authorization: victim.token })],
		["another header", () => ({ "X-Access-Token": victim.token, "Proxy-Authorization": `Bearer ${victim.token}` })],
		["a cookie beside a header that is wrong", () => ({ Authorization: "Bearer x", Cookie: `jwt=${victim.token}` })],
		[
			"a cookie of another name",
			() => ({ Cookie: `JWT=${victim.token}; xjwt=${victim.token}; jwt[]=${victim.token}` })
		],
		["a second cookie of the name", () => ({ Cookie: `jwt=x; jwt=${victim.token}` })],
		["a cookie in quotes", () => ({ Cookie: `jwt="${victim.token}"` })]
	];
	for (const [what, headers] of refused)
		it(`not: ${what}`, async () => {
			assertFailure(await me(headers()), "unauthorized");
		});

	it("not: a refresh token for an access token, nor the other way round", async () => {
		const user = await app.client.newUser();
		assertFailure(await asBearer(user.refresh_token), "unauthorized");
		const asRefresh = await app.client.send("POST", "/v1/user/refresh", { json: { refresh_token: user.token } });
		assert.ok([401, 422].includes(asRefresh.status));
		assert.equal((await asBearer(user.token)).status, 200, "the attempt ends nobody's session");
	});
});

describe("API2: a login", () => {
	it("tells nothing of whether a name is taken: the same answer for a wrong name and a wrong password", async () => {
		const login = (username: string) =>
			app.client.send("POST", "/v1/user/login", { json: { username, password: "wrong!" } });
		const [known, unknown] = [await login(victim.username), await login("nobody of this name")];
		assertFailure(known, "unauthorized");
		assert.equal(known.text, unknown.text);
		assert.deepEqual(Object.keys(known.headers), Object.keys(unknown.headers));
	});
	it("that ended with a reuse is told of in its user's log", async () => {
		const user = await app.client.newUser();
		for (let i = 0; i < 2; i++)
			await app.client.send("POST", "/v1/user/refresh", { json: { refresh_token: user.refresh_token } });
		const json = { username: user.username, password: user.password };
		const token = (await app.client.send("POST", "/v1/user/login", { json })).body.token as string;
		const entries = async () =>
			assertSuccess<AuditPage>(await app.client.send("GET", "/v1/audit?action=user.refresh.reused", { token })).entries;
		await until("the log has it", async () => (await entries()).length > 0);
		assert.deepEqual(
			(await entries()).map(({ user_id, object_id, outcome }) => [user_id, object_id, outcome]),
			[[user.user_id, String(user.user_id), "done"]]
		);
	});
	it("ends with the hundredth login after it, as the one that was used least, and no other does", async () => {
		const user = await app.client.newUser();
		const { sessions, db } = app.broker.getLocalService("user") as unknown as { sessions: SessionStore; db: Sequelize };
		const { user_id } = user;
		const logIn = () =>
			app.client.send("POST", "/v1/user/login", { json: { username: user.username, password: user.password } });
		const second = (await logIn()).body.token as string;
		const later = new Date(Date.now() + 365 * 86_400_000);
		await db.transaction(async transaction => {
			for (let i = 0; i < 98; i++) {
				const id = `${user_id}-${i}`.padEnd(22, "x");
				await sessions.open({ id, user_id, token_hash: "x".repeat(64), expires_at: later }, transaction);
			}
		});
		assert.equal((await asBearer(user.token)).status, 200);
		const last = (await logIn()).body.token as string;
		const statuses = await Promise.all([user.token, second, last].map(async token => (await asBearer(token)).status));
		assert.deepEqual(statuses, [401, 200, 200]);
	});
	it("ends with a logout, a password change or a reuse of a refresh token, at once", async () => {
		const ends: Record<string, (user: TestUser) => Promise<unknown>> = {
			logout: user => app.client.send("POST", "/v1/user/logout", { token: user.token }),
			"password change": user =>
				app.client.send("PUT", "/v1/user/password", {
					token: user.token,
					json: { old_password: user.password, new_password: "another one" }
				}),
			reuse: async user => {
				for (let i = 0; i < 2; i++)
					await app.client.send("POST", "/v1/user/refresh", { json: { refresh_token: user.refresh_token } });
			}
		};
		for (const [what, end] of Object.entries(ends)) {
			const user = await app.client.newUser();
			await end(user);
			assert.equal((await asBearer(user.token)).status, 401, what);
			const refresh = await app.client.send("POST", "/v1/user/refresh", {
				json: { refresh_token: user.refresh_token }
			});
			assert.equal(refresh.status, 401, what);
		}
	});
});
