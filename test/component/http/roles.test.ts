import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { call } from "../../../lib/call.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Client, TestUser } from "../../support/client.ts";
import { until } from "../../support/until.ts";

useEnvironment();

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	before(async () => {
		client = app().client;
		user = await client.newUser();
	});

	const ask = (token?: string) => client.send("GET", "/v1/admin/saga", token ? { token } : {});

	describe("A route for a role", () => {
		it("answers 403 to a user without it", async () => {
			assertFailure(await ask(user.token), "forbidden");
		});
		it("answers 401 to nobody and to a forged token, not 403", async () => {
			assertFailure(await ask(), "unauthorized");
			assertFailure(await ask(`${user.token.slice(0, -3)}AAA`), "unauthorized");
		});
		it("lets a user with the role in, who has to log in again to have it", async () => {
			const { user_id, username, password, token } = await client.newUser();
			await call(app().broker, "user.setRole", { user_id, role: "admin" });
			await until("the old token is refused", async () => (await ask(token)).status === 401);
			const admin = await client.login(username, password);
			assert.equal((await ask(admin.token)).status, 200);

			await call(app().broker, "user.setRole", { user_id, role: "user" });
			await until("the old token of the admin is refused", async () => (await ask(admin.token)).status === 401);
			assertFailure(await ask((await client.login(username, password)).token), "forbidden");
		});
	});

	describe("A new user", () => {
		it("has no role beyond their own things", async () => {
			const claims = JSON.parse(Buffer.from(user.token.split(".")[1] ?? "", "base64url").toString());
			assert.equal(claims.role, "user");
			assertSuccess(await client.send("GET", "/v1/user/me", { token: user.token }));
		});
	});
});
