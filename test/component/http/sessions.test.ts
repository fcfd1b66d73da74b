import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Sequelize } from "sequelize";
import type { Tokens } from "../../../services/user/user.contract.ts";
import type { PasswordCheck } from "../../../services/user/user.passwords.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, Client } from "../../support/client.ts";
import { until } from "../../support/until.ts";

useEnvironment();

/** What a test may replace in the user service. */
interface UserService {
	passwordMatches: PasswordCheck;
}

onBothShapes(app => {
	let client: Client;
	before(() => {
		client = app().client;
	});

	const refresh = (refresh_token: string) => client.send("POST", "/v1/user/refresh", { json: { refresh_token } });
	const login = (username: string, password: string) =>
		client.send("POST", "/v1/user/login", { json: { username, password } });
	const logout = (token: string) => client.send("POST", "/v1/user/logout", { token });
	const me = (token: string) => client.send("GET", "/v1/user/me", { token });
	const changePassword = (token: string, old_password: string, new_password: string) =>
		client.send("PUT", "/v1/user/password", { token, json: { old_password, new_password } });
	/** A gateway on another node learns of an end by an event, which is on its way when the answer is given. */
	const untilRefused = (token: string) => until("the token is refused", async () => (await me(token)).status === 401);
	const tokensOf = (answer: Answer) => assertSuccess<Tokens>(answer);
	const winners = (answers: Answer[]) => answers.filter(answer => answer.status === 200);

	describe("A refresh token", () => {
		it("gives a new pair, which works like the first", async () => {
			const user = await client.newUser();
			const first = tokensOf(await refresh(user.refresh_token));
			assert.notEqual(first.refresh_token, user.refresh_token);
			assert.equal(first.user_id, user.user_id);
			assertSuccess(await me(first.token));
			const second = tokensOf(await refresh(first.refresh_token));
			assertSuccess(await me(second.token));
		});

		it("is refused when its time is over", async () => {
			const user = await client.newUser();
			const { db } = app().worker.getLocalService("user") as unknown as { db: Sequelize };
			const past = "2020-01-01 00:00:00.000 +00:00";
			await db.query("UPDATE sessions SET expires_at = ? WHERE user_id = ?", { replacements: [past, user.user_id] });
			assertFailure(await refresh(user.refresh_token), "unauthorized");
		});

		it("leaves the access token before it good until it ends", async () => {
			const user = await client.newUser();
			tokensOf(await refresh(user.refresh_token));
			assertSuccess(await me(user.token));
		});

		it("that is used twice ends the login: every token of it is refused at once", async () => {
			const user = await client.newUser();
			const second = tokensOf(await refresh(user.refresh_token));
			const third = tokensOf(await refresh(second.refresh_token));

			assertFailure(await refresh(user.refresh_token), "unauthorized");
			for (const { refresh_token } of [user, second, third])
				assertFailure(await refresh(refresh_token), "unauthorized");
			for (const { token } of [user, second, third]) await untilRefused(token);
		});

		it("that is used twice leaves other logins of the user alone", async () => {
			const user = await client.newUser();
			const other = await client.login(user.username, user.password);
			tokensOf(await refresh(user.refresh_token));
			assertFailure(await refresh(user.refresh_token), "unauthorized");
			assertSuccess(await me(other.token));
			tokensOf(await refresh(other.refresh_token));
		});

		it("that two use at once lets exactly one in", async () => {
			for (let round = 0; round < 10; round++) {
				const { refresh_token } = await client.newUser();
				const answers = await Promise.all(Array.from({ length: 2 }, () => refresh(refresh_token)));
				assert.equal(winners(answers).length, 1);
				assertFailure(answers.find(answer => answer.status !== 200) as Answer, "unauthorized");
			}
		});

		it("that twenty use at once lets exactly one in, and then nobody", async () => {
			const { refresh_token } = await client.newUser();
			const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(refresh_token)));
			const [winner, ...more] = winners(answers);
			assert.equal(more.length, 0);
			const { token, refresh_token: next } = tokensOf(winner as Answer);
			assertFailure(await refresh(next), "unauthorized");
			await untilRefused(token);
		});

		it("of nobody changes nothing: neither a made-up one nor one cut short", async () => {
			const user = await client.newUser();
			const [id] = user.refresh_token.split(".");
			for (const token of [`${"A".repeat(22)}.${"A".repeat(43)}`, user.refresh_token.slice(0, -1), `${id}.`, `${id}`])
				assertFailure(await refresh(token), "unauthorized");
			tokensOf(await refresh(user.refresh_token));
		});
	});

	describe("A logout", () => {
		it("ends the login it is made with: refresh and access tokens", async () => {
			const user = await client.newUser();
			assert.equal(assertSuccess(await logout(user.token)), null);
			assertFailure(await refresh(user.refresh_token), "unauthorized");
			await untilRefused(user.token);
			assertFailure(await logout(user.token), "unauthorized");
		});

		it("leaves other logins of the user alone", async () => {
			const user = await client.newUser();
			const other = await client.login(user.username, user.password);
			assertSuccess(await logout(user.token));
			assertSuccess(await me(other.token));
			tokensOf(await refresh(other.refresh_token));
		});

		it("takes an empty object for a body", async () => {
			const { token } = await client.newUser();
			assertSuccess(await client.send("POST", "/v1/user/logout", { token, json: {} }));
		});
	});

	describe("A password change", () => {
		it("ends every login of the user, and the old password", async () => {
			const user = await client.newUser();
			const others = [
				await client.login(user.username, user.password),
				await client.login(user.username, user.password)
			];
			assert.equal(assertSuccess(await changePassword(user.token, user.password, "another horse")), null);

			for (const { token, refresh_token } of [user, ...others]) {
				assertFailure(await refresh(refresh_token), "unauthorized");
				await untilRefused(token);
			}
			assertFailure(await login(user.username, user.password), "unauthorized");
			assertSuccess(await login(user.username, "another horse"));
		});

		it("leaves other users alone", async () => {
			const [user, other] = [await client.newUser(), await client.newUser()];
			assertSuccess(await changePassword(user.token, user.password, "another horse"));
			assertSuccess(await me(other.token));
			tokensOf(await refresh(other.refresh_token));
		});

		it("needs the old password: nothing ends without it", async () => {
			const user = await client.newUser();
			assertFailure(await changePassword(user.token, "wrong horse", "another horse"), "unauthorized");
			assertInvalid(await changePassword(user.token, user.password, "short"), "new_password");
			assertSuccess(await me(user.token));
			assertSuccess(await login(user.username, user.password));
			tokensOf(await refresh(user.refresh_token));
		});

		it("that five make at once with one old password is made by one", async () => {
			const user = await client.newUser();
			const passwords = Array.from({ length: 5 }, (_, i) => `password number ${i}`);
			const answers = await Promise.all(passwords.map(password => changePassword(user.token, user.password, password)));
			const works = await Promise.all(passwords.map(password => login(user.username, password)));
			assert.equal(winners(answers).length, 1);
			assert.deepEqual(
				works.map(answer => answer.status === 200),
				answers.map(answer => answer.status === 200)
			);
		});

		it("that is made while a login with the old password is under way leaves that login without tokens", async () => {
			const user = await client.newUser();
			const service = app().worker.getLocalService("user") as unknown as UserService;
			const real = service.passwordMatches;
			const verified = Promise.withResolvers<void>();
			const goOn = Promise.withResolvers<void>();
			service.passwordMatches = async (...args) => {
				const matches = await real(...args);
				verified.resolve();
				await goOn.promise;
				return matches;
			};
			const late = login(user.username, user.password);
			await verified.promise;
			service.passwordMatches = real;
			assertSuccess(await changePassword(user.token, user.password, "another horse"));
			goOn.resolve();
			assertFailure(await late, "unauthorized");
		});
	});
});
