import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { SignJWT } from "jose";
import { accessTokens } from "../../lib/tokens.ts";

const OLD = { name: "old", secret: "o".repeat(32) };
const NEW = { name: "new", secret: "n".repeat(32) };
const identity = { id: 7, role: "user", session_id: "s" } as const;
const tokens = accessTokens([NEW, OLD]);

/** A token that is good but for what `change` does to it. */
function forged(change: (jwt: SignJWT) => SignJWT, header: object = {}, secret = NEW.secret): Promise<string> {
	const now = Math.floor(Date.now() / 1000);
	const good = new SignJWT({ sid: "s" })
		.setProtectedHeader({ alg: "HS256", kid: "new", typ: "at+jwt", ...header })
		.setSubject("7")
		.setIssuer("notemesh")
		.setAudience("notemesh-api")
		.setIssuedAt(now)
		.setExpirationTime(now + 60);
	return change(good).sign(new TextEncoder().encode(secret));
}

function unsigned(): string {
	const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
	const claims = { sub: "7", sid: "s", iss: "notemesh", aud: "notemesh-api", exp: 4_000_000_000 };
	return `${part({ alg: "none", typ: "at+jwt", kid: "new" })}.${part(claims)}.`;
}

describe("Access tokens", () => {
	it("carry the identity they were signed for", async () => {
		const { token } = await tokens.sign(identity, 60);
		assert.deepEqual(await tokens.verify(token), identity);
	});

	it("are signed with the first key and accepted with any", async () => {
		const { token } = await accessTokens([OLD]).sign(identity, 60);
		assert.deepEqual(await tokens.verify(token), identity);
		const { token: current } = await tokens.sign(identity, 60);
		assert.equal(await accessTokens([OLD]).verify(current), null);
	});

	it("end earlier than they say where none may be as old", async () => {
		const shorter = accessTokens([NEW], 30);
		const { token, expiresAt } = await tokens.sign(identity, 60);
		assert.deepEqual(await shorter.verify(token), identity);
		mock.timers.enable({ apis: ["Date"], now: expiresAt - 30_000 });
		try {
			assert.equal(await shorter.verify(token), null);
			assert.equal(await accessTokens([NEW], 30).verify(token), null);
			assert.deepEqual(await tokens.verify(token), identity);
		} finally {
			mock.timers.reset();
		}
	});

	it("end when they say", async () => {
		const { token, expiresAt } = await tokens.sign(identity, 60);
		mock.timers.enable({ apis: ["Date"], now: expiresAt + 1 });
		try {
			assert.equal(await tokens.verify(token), null);
		} finally {
			mock.timers.reset();
		}
	});

	it("cannot be made without a key", () => {
		assert.throws(() => accessTokens([]), /No signing key/);
	});

	const hour = 3600;
	const attacks: [what: string, token: () => Promise<string> | string][] = [
		["of another issuer", () => forged(jwt => jwt.setIssuer("evil"))],
		["for another audience", () => forged(jwt => jwt.setAudience("other"))],
		["not valid yet", () => forged(jwt => jwt.setNotBefore(Math.floor(Date.now() / 1000) + hour))],
		["of an unknown key", () => forged(jwt => jwt, { kid: "nope" })],
		["without a key id", () => forged(jwt => jwt, { kid: undefined })],
		["of another type", () => forged(jwt => jwt, { typ: "JWT" })],
		["with another algorithm", () => forged(jwt => jwt, { alg: "HS512" })],
		["signed with another secret", () => forged(jwt => jwt, {}, "x".repeat(32))],
		["without an algorithm", unsigned],
		["that is no token", () => "a.b.c"],
		["that is empty", () => ""],
		["that is huge", () => "a".repeat(100_000)]
	];
	for (const [what, token] of attacks)
		it(`refuse one ${what}`, async () => {
			assert.equal(await tokens.verify(await token()), null);
		});
	it("accept the token that the attacks vary", async () => {
		assert.deepEqual(await tokens.verify(await forged(jwt => jwt)), identity);
	});
});
