import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { Service, ServiceSchema } from "moleculer";
import { QueryTypes } from "sequelize";
import { databaseUrl, env } from "../../lib/env.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { acquire } from "../../mixins/db/connection.ts";
import type { SagaMethods } from "../../mixins/saga/saga.mixin.ts";
import { registrationIds } from "../../services/user/user.registration.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import { until } from "../support/until.ts";

useEnvironment();

const credentials = (username: string) => ({ username, password: "correct horse" });
const register = (app: App, username: string, headers: Record<string, string> = {}) =>
	app.client.send("POST", "/v1/user/register", { json: credentials(username), headers });

async function rows(service: string, sql: string): Promise<Record<string, unknown>[]> {
	const { sequelize, release } = acquire(databaseUrl(env(), service));
	try {
		return await sequelize.query(sql, { type: QueryTypes.SELECT });
	} finally {
		await release();
	}
}

const usersCalled = (name: string) => rows("user", `SELECT status FROM users WHERE username = '${name}'`);
const pointsOf = async (app: App, username: string) => {
	const login = await app.client.send("POST", "/v1/user/login", { json: credentials(username) });
	const points = await app.client.send("GET", "/v1/points", { token: login.body.token as string });
	return (points.body.data as { balance: number }).balance;
};

/** A points service whose grant does something else. */
const pointsThat = (grant: () => unknown, revoke: () => unknown = () => null): ServiceSchema => ({
	name: "points",
	actions: { grant, revoke }
});

describe("Registration", () => {
	it("answers 201 for a user that can log in and has ten points", async t => {
		const app = await startApp(t);
		const answer = await register(app, "ann");
		assert.equal(answer.status, 201);
		assert.equal(answer.headers.location, "/v1/user/me");
		assert.equal(await pointsOf(app, "ann"), 10);
	});

	it("of 10 requests for one name together, one gets it and nine 409, and ten points are there", async t => {
		const app = await startApp(t);
		const answers = await Promise.all(Array.from({ length: 10 }, () => register(app, "race")));
		const outcomes = await Promise.all(answers.map(answer => app.client.outcomeOf(answer)));
		assert.deepEqual(outcomes.sort(), ["succeed", ...Array(9).fill("taken")]);
		assert.equal(await pointsOf(app, "race"), 10);
	});

	it("that is taken back after the user was active ends the logins that were made meanwhile", async t => {
		const app = await startApp(t);
		const { user_id } = (await register(app, "brief")).body.data as { user_id: number };
		const { body } = await app.client.send("POST", "/v1/user/login", { json: credentials("brief") });
		const [{ gid } = {}] = await rows("user", "SELECT gid FROM saga ORDER BY created_at DESC LIMIT 1");
		const params = { user_id, username: "brief" };
		const takeBack = () =>
			app.broker.call("user.deactivate", params, { meta: { saga: { gid, step: "activation", op: "compensate" } } });
		await Promise.all([takeBack(), takeBack()]);
		const note = { token: body.token as string, json: { title: "a", content: "b" } };
		await until("the access token ends", async () => (await app.client.send("POST", "/v1/note", note)).status === 401);
		const refresh = { json: { refresh_token: body.refresh_token } };
		assert.equal((await app.client.send("POST", "/v1/user/refresh", refresh)).status, 401);
	});

	it("under one Idempotency-Key is done once, however often it is sent", async t => {
		const app = await startApp(t);
		const headers = { "Idempotency-Key": "b2c1" };
		const answers = await Promise.all(Array.from({ length: 5 }, () => register(app, "once", headers)));
		assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
		assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
		assert.equal(await pointsOf(app, "once"), 10);
	});

	it("under a used Idempotency-Key is refused with another password or another spelling of the name", async t => {
		const app = await startApp(t);
		const headers = { "Idempotency-Key": "b2c2" };
		assert.equal((await register(app, "keyed", headers)).status, 201);
		assert.equal((await register(app, "Keyed", headers)).status, 422);
		const json = { ...credentials("keyed"), password: "another password" };
		assert.equal((await app.client.send("POST", "/v1/user/register", { json, headers })).status, 422);
	});

	it("of two clients that use the same Idempotency-Key is done for both, and neither learns of the other's", async t => {
		const app = await startApp(t);
		const headers = { "Idempotency-Key": "1" };
		const [one, other] = [await register(app, "first", headers), await register(app, "second", headers)];
		assert.deepEqual([one.status, other.status], [201, 201]);
		assert.notDeepEqual(one.body.data, other.body.data);

		const guesses = [
			createHash("sha256").update("1").digest("base64url"),
			createHash("sha256")
				.update(JSON.stringify(["user.registration", "first", "1"]))
				.digest("base64url"),
			registrationIds([{ name: "guessed", secret: "a-secret-that-only-looks-like-ours" }])("first", "1").slice(9)
		];
		for (const guess of guesses) {
			const { status } = await app.client.send("GET", `/v1/saga/register-${guess}`);
			assert.equal(status, 404);
		}
		assert.equal((await app.client.send("GET", `/v1/saga/${gidOf("first", "1")}`)).status, 200);
	});

	it("R11: shows a PENDING user to nobody, and answers 202 with a place to ask while it is not complete", async t => {
		const app = await startApp(t, { points: null });
		const answer = await register(app, "pending");
		assert.equal(answer.status, 202);
		const { gid, status } = answer.body.data as { gid: string; status: string };
		assert.deepEqual([status, answer.headers.location], ["pending", `/v1/saga/${gid}`]);
		assert.deepEqual(await usersCalled("pending"), [{ status: "PENDING" }]);

		const login = await app.client.send("POST", "/v1/user/login", { json: credentials("pending") });
		assert.equal(login.status, 401);
		assert.deepEqual(await app.broker.call("user.find", { query: { username: "pending" } }), []);
		assert.equal(await app.broker.call("user.byName", { username: "pending" }), null);
		const [{ id } = { id: 0 }] = await rows("user", "SELECT id FROM users WHERE username = 'pending'");
		assert.deepEqual(await app.broker.call("user.mget", { user_ids: [id] }), []);
		assert.equal((await register(app, "pending")).status, 409, "the name is reserved");

		const { default: points } = await import("../../services/points/points.service.ts");
		app.broker.createService(points);
		await until("the registration is complete", async () => {
			const { body } = await app.client.send("GET", `/v1/saga/${gid}`);
			return (body.data as { status: string }).status === "succeed";
		});
		assert.equal(await pointsOf(app, "pending"), 10);
	});

	it("that is rolled back answers 409, leaves no user and frees the name", async t => {
		let open = false;
		const refuse = () => {
			if (!open) throw Object.assign(new Error("closed"), { code: 409, type: "POINTS_CLOSED" });
			return { balance: 10 };
		};
		const app = await startApp(t, { points: pointsThat(refuse) });
		const answer = await register(app, "freed", { "Idempotency-Key": "b2c3" });
		assert.deepEqual([answer.status, answer.body.code], [409, 10008]);
		assert.deepEqual(await usersCalled("freed"), []);
		const { body } = await app.client.send("GET", `/v1/saga/${gidOf("freed", "b2c3")}`);
		const { status, reason } = body.data as { status: string; reason: string };
		assert.deepEqual([status, reason], ["failed", "POINTS_CLOSED"]);

		open = true;
		assert.equal((await register(app, "freed")).status, 201);
		assert.deepEqual(await usersCalled("freed"), [{ status: "ACTIVE" }]);
	});

	it("is recorded once, with its end: by the transaction that completes or takes back, whatever was answered", async t => {
		const recordsOf = async (username: string) =>
			(await rows("user", "SELECT payload FROM outbox ORDER BY id"))
				.map(({ payload }) => JSON.parse(String(payload)))
				.filter(({ details }) => details.username === username)
				.map(({ action, outcome }) => `${action} ${outcome}`);
		const app = await startApp(t);
		const headers = { "Idempotency-Key": "b2c5" };
		for (let time = 0; time < 3; time++) assert.equal((await register(app, "recorded", headers)).status, 201);
		assert.deepEqual(await recordsOf("recorded"), ["user.register done"]);

		// What can not be recorded is not done; it is done, and recorded, when it can.
		const { outbox } = app.broker.getLocalService("user") as unknown as { outbox: { add(): Promise<string> } };
		t.mock.method(outbox, "add", () => Promise.reject(new Error("no space left")));
		assert.equal((await register(app, "unrecorded")).status, 202);
		assert.deepEqual(await usersCalled("unrecorded"), [{ status: "PENDING" }]);
		t.mock.restoreAll();
		await until("it is done", async () => (await usersCalled("unrecorded"))[0]?.status === "ACTIVE");
		assert.deepEqual(await recordsOf("unrecorded"), ["user.register done"]);
	});

	it("that is taken back is recorded as a release of the name, and as refused", async t => {
		const refuse = () => {
			throw Object.assign(new Error("closed"), { code: 409, type: "POINTS_CLOSED" });
		};
		const app = await startApp(t, { points: pointsThat(refuse) });
		assert.equal((await register(app, "released")).status, 409);
		const records = (await rows("user", "SELECT payload FROM outbox ORDER BY id"))
			.map(({ payload }) => JSON.parse(String(payload)))
			.filter(({ details }) => details.username === "released");
		assert.deepEqual(
			records.map(({ action, outcome, error }) => [action, outcome, error]),
			[
				["user.release", "done", null],
				["user.register", "refused", "REGISTRATION_FAILED"]
			]
		);
	});

	it("goes on where it was when the process is stopped and started again", async t => {
		const first = await startApp(t, { points: null });
		const { body } = await register(first, "resumed");
		const { gid } = body.data as { gid: string };
		await first.stop();
		const second = await startApp(t);
		const { sagas } = second.broker.getLocalService("user") as unknown as Service & SagaMethods;
		await until("the registration is complete", async () => (await sagas.outcome(gid)).status === "succeed");
		assert.equal(await pointsOf(second, "resumed"), 10);
	});

	it("keeps the password's hash from operators", async t => {
		const app = await startApp(t);
		await register(app, "hidden", { "Idempotency-Key": "b2c4" });
		const saga = JSON.stringify(await app.broker.call("user.saga.get", { gid: gidOf("hidden", "b2c4") }));
		assert.match(saga, /hidden/);
		assert.doesNotMatch(saga, /argon2/);
	});

	it("has branches that nobody can call alone", async t => {
		const app = await startApp(t);
		for (const [action, params] of [
			["user.activate", { user_id: 1, username: "ann" }],
			["user.release", { username: "ann", password_hash: "x" }],
			["points.grant", { user_id: 1, points: 1000 }]
		] as const)
			await assert.rejects(app.broker.call(action, params), { type: "SAGA_FAILURE" });
	});
});

describe("The admin routes of sagas", () => {
	it("answer 401 without a token, 403 to a user, and serve an admin", async t => {
		const app = await startApp(t);
		const user = await app.client.newUser();
		const get = (token?: string) =>
			app.client.send("GET", "/v1/admin/saga?status=succeed&limit=5", token ? { token } : {});
		assert.equal((await get()).status, 401);
		assert.equal((await get(user.token)).status, 403);

		await app.broker.call("user.setRole", { user_id: user.user_id, role: "admin" });
		const login = await app.client.send("POST", "/v1/user/login", {
			json: user && { username: user.username, password: user.password }
		});
		const token = login.body.token as string;
		const listed = await get(token);
		assert.equal(listed.status, 200);
		const [saga] = (listed.body.data as { sagas: { gid: string; status: string }[] }).sagas;
		assert.equal(saga?.status, "succeed");
		const shown = await app.client.send("GET", `/v1/admin/saga/${saga?.gid}`, { token });
		assert.equal((shown.body.data as { timeline: unknown[] }).timeline.length, 5);
		const failed = await app.client.send("POST", `/v1/admin/saga/${saga?.gid}/fail`, {
			token,
			json: { reason: "late" }
		});
		assert.equal(failed.status, 409);
		const [record] = (await rows("user", "SELECT payload FROM outbox ORDER BY id DESC LIMIT 1")).map(({ payload }) =>
			JSON.parse(String(payload))
		);
		const { action, outcome, user_id, object_type, object_id, details } = record;
		assert.deepEqual([action, outcome, user_id], ["user.saga.fail", "refused", user.user_id]);
		assert.deepEqual([object_type, object_id, details], ["saga", saga?.gid, { reason: "late" }]);
	});
});

const gidOf = (username: string, key: string) => registrationIds(signingKeys(env()))(username, key);
