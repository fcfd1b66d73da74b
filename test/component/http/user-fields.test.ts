import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { call } from "../../../lib/call.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Client, TestUser } from "../../support/client.ts";
import { controls, legalTexts, loneSurrogates, notTexts } from "../../support/texts.ts";

useEnvironment();

const PASSWORD = "123456";

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	/** Keeps names of the two shapes apart, which share their database. */
	let prefix: string;
	before(async () => {
		client = app().client;
		user = await client.newUser();
		prefix = app().broker.nodeID;
	});

	const register = (json: unknown) => client.send("POST", "/v1/user/register", { json });
	/** Registers a user and gives the name back that is stored. */
	const registered = async (username: string): Promise<string | undefined> => {
		const answer = await register({ username, password: PASSWORD });
		const { user_id } = assertSuccess<{ user_id: number }>(answer, 201);
		const [user] = await call(app().broker, "user.mget", { user_ids: [user_id] });
		return user?.username;
	};
	const login = (json: unknown) => client.send("POST", "/v1/user/login", { json });
	const changePassword = (json: unknown) => client.send("PUT", "/v1/user/password", { token: user.token, json });

	describe("A username", () => {
		for (const value of notTexts)
			it(`may not be ${JSON.stringify(value)}`, async () => {
				assertInvalid(await register({ username: value, password: PASSWORD }), "username");
				assertInvalid(await login({ username: value, password: PASSWORD }), "username");
			});
		for (const [what, value] of Object.entries({ ...controls, ...loneSurrogates, tab: "\t", "line break": "\n" }))
			it(`may not hold ${what}`, async () => {
				assertInvalid(await register({ username: `a${value}b`, password: PASSWORD }), "username");
			});
		for (const value of ["", " ", "\t\n", "\u00a0\u2003\ufeff"])
			it(`may not be empty after trimming: ${JSON.stringify(value)}`, async () => {
				assertInvalid(await register({ username: value, password: PASSWORD }), "username");
			});
		it("must be there", async () => {
			assertInvalid(await register({ password: PASSWORD }), "username");
			assertInvalid(await login({ password: PASSWORD }), "username");
		});

		it("has 128 characters at most, of whatever kind", async () => {
			const letters = { emoji: "👍", Chinese: "𠜎", letter: "z", "growing in lower case": "İ" };
			for (const [kind, letter] of Object.entries(letters)) {
				const longest = prefix + letter.repeat(128 - prefix.length);
				assert.equal(await registered(longest), longest, kind);
				assertInvalid(await register({ username: `${longest}${letter}`, password: PASSWORD }), "username");
			}
			assertInvalid(await register({ username: "x".repeat(100_000), password: PASSWORD }), "username");
		});

		for (const [what, text] of Object.entries(legalTexts))
			it(`may be ${what}, and comes back as it was sent`, async () => {
				const username = `${prefix} ${what} ${text}`;
				assert.equal(await registered(username), username);
			});

		it("is trimmed, when registered and when logging in", async () => {
			assert.equal(await registered(` \t${prefix} trimmed\n `), `${prefix} trimmed`);
			const me = await client.send("GET", "/v1/user/me", await client.login(`${prefix} trimmed `, PASSWORD));
			assert.equal(assertSuccess<{ username: string }>(me).username, `${prefix} trimmed`);
		});

		const same: [one: string, other: string][] = [
			["José", "JOSE\u0301"],
			["ΟΔΟΣ", "οδοσ"],
			["ΟΔΟΣ", "οδος"],
			["J\u030c", "\u01f0"],
			["\u212b", "\u00e5"],
			["İstanbul", "i\u0307STANBUL"]
		];
		for (const [i, [one, other]] of same.entries())
			it(`${one} is the same as ${other}`, async () => {
				const [first, second] = [one, other].map(name => `${prefix}-${i}-${name}`);
				assertSuccess(await register({ username: first, password: PASSWORD }), 201);
				assertFailure(await register({ username: second, password: PASSWORD }), "taken");
				await client.login(String(second), PASSWORD);
			});

		it("differs from another by accents and blanks within", async () => {
			for (const name of ["jose", "josé", "jo se", "jo  se"])
				assertSuccess(await register({ username: `${prefix}/${name}`, password: PASSWORD }), 201);
		});
	});

	describe("A password", () => {
		for (const value of notTexts)
			it(`may not be ${JSON.stringify(value)}`, async () => {
				assertInvalid(await register({ username: "never", password: value }), "password");
				assertInvalid(await login({ username: "never", password: value }), "password");
				assertInvalid(await changePassword({ old_password: value, new_password: PASSWORD }), "old_password");
				assertInvalid(await changePassword({ old_password: PASSWORD, new_password: value }), "new_password");
			});
		for (const value of [
			"",
			"12345",
			"x".repeat(129),
			"👍".repeat(5),
			"👍".repeat(129),
			...Object.values(loneSurrogates)
		])
			it(`may not be ${JSON.stringify(value.slice(0, 20))} with ${value.length} code units when it is new`, async () => {
				assertInvalid(await register({ username: "never", password: value }), "password");
				assertInvalid(await changePassword({ old_password: user.password, new_password: value }), "new_password");
			});

		it("is never quoted by the answer that refuses it", async () => {
			for (const password of [1234567890123, ["s3cret-1234567890123"], `s3cret-1234567890123${"x".repeat(200)}`]) {
				for (const answer of [
					await register({ username: "never", password }),
					await login({ username: "a", password })
				]) {
					assertInvalid(answer, "password");
					assert.doesNotMatch(answer.text, /s3cret|1234567890123/);
				}
			}
		});

		const legal = { ...legalTexts, ...controls, "blanks around": "  padded  ", "line breaks": "a\r\nb\tcd" };
		for (const [i, [what, text]] of Object.entries(legal).entries())
			it(`may be ${what}`, async () => {
				const username = `${prefix} with password ${i}`;
				const password = `pass${text}`.padEnd(6, "!");
				assertSuccess(await register({ username, password }), 201);
				await client.login(username, password);
			});

		it("has 6 to 128 characters, of whatever kind", async () => {
			for (const [i, password] of ["👍".repeat(6), "👍".repeat(128), "x".repeat(128)].entries()) {
				const username = `${prefix} bounds ${i}`;
				assertSuccess(await register({ username, password }), 201);
				await client.login(username, password);
			}
		});

		it("is told apart to its last character", async () => {
			const username = `${prefix} last character`;
			const password = `${"x".repeat(127)}a`;
			assertSuccess(await register({ username, password }), 201);
			assertFailure(await login({ username, password: `${"x".repeat(127)}b` }), "unauthorized");
			assertFailure(await login({ username, password: password.toUpperCase() }), "unauthorized");
			for (const wrong of [`${password.slice(0, 10)}\0`, ` ${password}`, password.slice(1)])
				assertFailure(await login({ username, password: wrong.slice(0, 128) }), "unauthorized");
		});
	});

	describe("A refresh token", () => {
		const refresh = (json: unknown) => client.send("POST", "/v1/user/refresh", { json });
		for (const value of [...notTexts, "", "x".repeat(129), "\0", "a\ud800"])
			it(`may not be ${JSON.stringify(value)?.slice(0, 20)}`, async () => {
				assertInvalid(await refresh({ refresh_token: value }), "refresh_token");
			});
		for (const value of ["x", "a.b", "null", `${"A".repeat(22)}.${"A".repeat(43)}`, "' OR 1=1 --", "x".repeat(128)])
			it(`that nobody was given is refused: ${value.slice(0, 20)}`, async () => {
				assertFailure(await refresh({ refresh_token: value }), "unauthorized");
			});
		it("must be there", async () => {
			assertInvalid(await refresh({}), "refresh_token");
		});
	});
});
