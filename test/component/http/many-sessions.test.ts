import assert from "node:assert/strict";
import { it } from "node:test";
import type { Sequelize } from "sequelize";
import { MOST_REVOKED } from "../../../services/user/user.contract.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { startGateway, startSplitApp, useEnvironment } from "../../support/app.ts";

useEnvironment();

it("A new gateway knows every session that ended lately, also those that no single answer could name", async t => {
	const app = await startSplitApp(t);
	const [gone, here] = [await app.client.newUser(), await app.client.newUser()];
	assertSuccess(await app.client.send("POST", "/v1/user/logout", { token: gone.token }));
	const { db } = app.worker.getLocalService("user") as unknown as { db: Sequelize };
	// "-" comes before all other characters of an id.
	await db.query(
		`WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count)
		INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, revoked_at)
		SELECT printf('-%021d', n), user_id, token_hash, created_at, expires_at, revoked_at FROM number, sessions WHERE user_id = :user`,
		{ replacements: { count: 2 * MOST_REVOKED, user: gone.user_id } }
	);

	const gateway = await startGateway(t, app);
	assertFailure(await gateway.send("GET", "/v1/user/me", { token: gone.token }), "unauthorized");
	assert.equal(
		assertSuccess<{ user_id: number }>(await gateway.send("GET", "/v1/user/me", { token: here.token })).user_id,
		here.user_id
	);
});
