import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { refreshToken, sessionIdOf, tokenHash } from "../../services/user/user.domain.ts";

const SESSION = "AAAAAAAAAAAAAAAAAAAAAA";

describe("A refresh token", () => {
	const token = refreshToken(SESSION, Buffer.alloc(32, 1));

	it("names its session", () => {
		assert.equal(sessionIdOf(token), SESSION);
	});
	for (const forged of [
		"",
		SESSION,
		`${SESSION}.`,
		`${token}x`,
		token.slice(1),
		`${SESSION}.${"'".repeat(43)}`,
		`\n${token}`
	])
		it(`is not ${JSON.stringify(forged)}`, () => {
			assert.equal(sessionIdOf(forged), null);
		});
	it("is stored as a hash that differs with any part of it", () => {
		assert.match(tokenHash(token), /^[0-9a-f]{64}$/);
		assert.notEqual(tokenHash(token), tokenHash(refreshToken(SESSION, Buffer.alloc(32, 2))));
	});
});
