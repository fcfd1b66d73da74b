import assert from "node:assert/strict";
import type { AddressInfo, Server } from "node:net";
import { describe, it } from "node:test";
import type { ServiceSchema } from "moleculer";
import { Errors } from "moleculer";
import { env } from "../../../lib/env.ts";
import { signingKeys } from "../../../lib/signing-keys.ts";
import { accessTokens } from "../../../lib/tokens.ts";
import { neighbours, routes } from "../../../services/api/routes.ts";
import type { Note } from "../../../services/note/note.contract.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, startApp, startSplitApp, stubService, useEnvironment } from "../../support/app.ts";
import { type Answer, Client } from "../../support/client.ts";
import { sampleRequests } from "../../support/requests.ts";
import { until } from "../../support/until.ts";

useEnvironment();

const DETAIL = "ER_ACCESS_DENIED for root@db.internal";

const samples = sampleRequests().filter(({ route }) => !route.action.startsWith("api."));

/** The services with every action of the route table doing the same, but for the one that the gateway needs itself. */
function stubs(handler: () => unknown) {
	const actionsOf = (service: string) =>
		routes.flatMap(({ action }) => (action.startsWith(`${service}.`) ? [action.slice(service.length + 1)] : []));
	const user = stubService("user", actionsOf("user"), handler);
	const stub = (name: string) => stubService(name, actionsOf(name), handler);
	return {
		...Object.fromEntries(neighbours.map(name => [name, stub(name)])),
		user: { ...user, actions: { ...user.actions, revokedSessions: { handler: () => [] } } }
	};
}

/** What `/readyz` says of each service while some are away. */
function checksWithout(...away: readonly string[]): Record<string, string> {
	const checks = neighbours.map(name => [name, away.includes(name) ? "failed" : "ok"]);
	return { ...Object.fromEntries(checks), transporter: "ok" };
}

async function anyToken(): Promise<string> {
	const identity = { id: 1, role: "admin", session_id: "s" } as const;
	return (await accessTokens(signingKeys(env())).sign(identity, 60)).token;
}

describe("A service that fails", () => {
	const errors: [what: string, error: Error, failure: "broken" | "unavailable"][] = [
		["with a bug", new TypeError(DETAIL), "broken"],
		["on purpose", new Errors.MoleculerError(DETAIL, 500, "SOME_FAILURE", { detail: DETAIL }), "broken"],
		["with a status that is not in the contract", new Errors.MoleculerClientError(DETAIL, 418, "TEAPOT"), "broken"],
		["for want of its database", new Errors.MoleculerError(DETAIL, 503, "DATABASE_UNAVAILABLE"), "unavailable"],
		["for want of another service", new Errors.ServiceNotFoundError({ action: DETAIL }), "unavailable"]
	];
	let thrown: Error;
	const throwing = stubs(() => {
		throw thrown;
	});
	onBothShapes(app => {
		for (const [what, error, failure] of errors)
			for (const { name, route, path, options } of samples)
				it(`${what} is answered on ${name} without a word about the reason`, async () => {
					thrown = error;
					const answer = await app().client.send(route.method, path, { ...options, token: await anyToken() });
					assertFailure(answer, failure);
					assert.doesNotMatch(answer.text, /ER_ACCESS|db\.internal|stack|SOME_FAILURE|TEAPOT/);
				});
	}, throwing);
});

describe("A service that does not answer", () => {
	const hanging = stubs(() => new Promise(() => {}));
	onBothShapes(
		app => {
			for (const { name, route, path, options } of samples)
				it(`is answered on ${name} with 504 when the time is over`, async () => {
					const answer = await app().client.send(route.method, path, { ...options, token: await anyToken() });
					assertFailure(answer, "late");
				});
		},
		hanging,
		{ requestTimeout: 30 }
	);
});

describe("A service that is not there", () => {
	onBothShapes(
		app => {
			for (const { name, route, path, options } of samples)
				it(`is answered on ${name} with 503 and when to come back`, async () => {
					const answer = await app().client.send(route.method, path, { ...options, token: await anyToken() });
					assertFailure(answer, "unavailable");
				});

			it("leaves what needs no service in place, and is reported by /readyz", async () => {
				assert.deepEqual((await app().client.send("GET", "/ping")).body, { message: "pong" });
				assert.deepEqual((await app().client.send("GET", "/healthz")).body, { status: "ok" });
				const ready = await app().client.send("GET", "/readyz");
				const checks = checksWithout(...neighbours);
				assert.deepEqual([ready.status, ready.body], [503, { status: "failed", checks }]);
			});
		},
		Object.fromEntries(neighbours.map(name => [name, null]))
	);
});

describe("GET /readyz", () => {
	it("says ok while only services are away that a few routes need, and names them", async t => {
		const { client } = await startApp(t, { audit: null, letter: null, points: null });
		const ready = await client.send("GET", "/readyz");
		const checks = checksWithout("audit", "letter", "points");
		assert.deepEqual([ready.status, ready.body], [200, { status: "ok", checks }]);
	});

	it("says ok when the user service has gone, since notes are served to those who are logged in", async t => {
		const { client, worker } = await startSplitApp(t);
		const { token } = await client.newUser();
		await worker.destroyService("user");
		const ready = await client.send("GET", "/readyz");
		assert.deepEqual([ready.status, (ready.body.checks as { user: string }).user], [200, "failed"]);
		assertSuccess(await client.send("GET", "/v1/note/query", { token }));
	});

	it("says failed where the user service was never met, since nobody can be let in", async t => {
		const { client } = await startApp(t, { user: null });
		const ready = await client.send("GET", "/readyz");
		assert.deepEqual([ready.status, ready.body.status], [503, "failed"]);
		assertFailure(await client.send("GET", "/v1/note/query", { token: await anyToken() }), "unavailable");
	});

	it("asks every service once for all who ask together, and anew for the next one", async t => {
		const { promise: held, resolve: release } = Promise.withResolvers<boolean>();
		let asked = 0;
		const letter: ServiceSchema = {
			name: "letter",
			actions: {
				ready() {
					asked++;
					return held;
				}
			}
		};
		const { broker } = await startApp(t, { letter });
		const answers = Promise.all(Array.from({ length: 20 }, () => broker.call<{ status: string }>("api.ready")));
		await until("the service is asked", () => asked > 0);
		release(true);
		assert.deepEqual([...new Set((await answers).map(({ status }) => status))], ["ok"]);
		assert.equal(asked, 1);
		await broker.call("api.ready");
		assert.equal(asked, 2);
	});

	it("says failed where the user service can not tell which sessions ended, and asks again", async t => {
		let fails = true;
		const revokedSessions = () => {
			if (fails) throw new Error("too many");
			return [];
		};
		const user: ServiceSchema = { name: "user", actions: { ready: () => true, revokedSessions } };
		const { client } = await startApp(t, { user });
		const failed = await client.send("GET", "/readyz");
		assert.deepEqual([failed.status, failed.body], [503, { status: "failed", checks: checksWithout("user") }]);
		fails = false;
		assert.equal((await client.send("GET", "/readyz")).status, 200);
	});

	it("says failed, not draining, while its process starts", async t => {
		let ready: Answer | undefined;
		const slow: ServiceSchema = {
			name: "letter",
			actions: { ready: () => true },
			async started() {
				const { server } = this.broker.getLocalService("api") as unknown as { server: Server };
				await until("the gateway listens", () => server.listening);
				const { port } = server.address() as AddressInfo;
				ready = await new Client(`http://127.0.0.1:${port}`).send("GET", "/readyz");
			}
		};
		const { client } = await startApp(t, { letter: slow });
		assert.deepEqual([ready?.status, ready?.body.status], [503, "failed"]);
		assert.equal((await client.send("GET", "/readyz")).status, 200);
	});
});

describe("A gateway that stops", () => {
	it("says on /readyz that it drains from the first moment, and still answers", async t => {
		const { broker, client } = await startApp(t, {}, { registry: { stopDelay: 1000 } });
		const user = await client.newUser();
		const stopped = broker.stop();
		const ready = await client.send("GET", "/readyz");
		assert.deepEqual([ready.status, ready.body.status], [503, "draining"]);
		assert.deepEqual([...new Set(Object.values(ready.body.checks as object))], ["ok"]);
		assert.equal((await client.send("GET", "/healthz")).status, 200);
		await client.newNote(user.token);
		await stopped;
	});

	it("finishes what is under way, all services with it, ends the connections, and then takes none", async t => {
		const { promise: held, resolve: release } = Promise.withResolvers<void>();
		let asked = false;
		let served = false;
		let stoppedBefore = false;
		const page = { total: 0, notes: [], next_cursor: null };
		const note: ServiceSchema = {
			name: "note",
			actions: {
				async query() {
					asked = true;
					await held;
					served = true;
					return page;
				}
			},
			stopped() {
				stoppedBefore = !served;
			}
		};
		const { broker, client } = await startApp(t, { note });
		const { token } = await client.newUser();
		const query = client.send("GET", "/v1/note/query", { token });
		await until("the service was asked", () => asked);
		const stopped = broker.stop();
		await until(
			"nobody listens any more",
			async () => (await client.send("GET", "/healthz").catch(() => undefined)) === undefined
		);
		release();
		assert.deepEqual(assertSuccess(await query), page);
		await stopped;
		assert.equal(stoppedBefore, false);
	});
});

describe("The note service", () => {
	it("goes on without the names of authors when the user service is gone, and counts it", async t => {
		const app = await startApp(t, {}, { metrics: true });
		const { token } = await app.client.newUser();
		const note = await app.client.newNote(token);
		const nameless = { ...note, username: "", user_avatar: "" };
		const path = `/v1/note/${note.note_id}`;

		await app.broker.destroyService("user");
		const remembered = assertSuccess(await app.client.send("GET", path, { token }));
		assert.deepEqual(remembered, note, "a node remembers the names that it knows");

		await app.broker.destroyService("note");
		app.broker.createService((await import("../../../services/note/note.service.ts")).default);
		await app.broker.waitForServices("note");
		assert.deepEqual(assertSuccess(await app.client.send("GET", path, { token })), nameless);
		const page = await app.client.send("GET", "/v1/note/query", { token });
		assert.deepEqual(assertSuccess<{ notes: unknown[] }>(page).notes, [nameless]);
		const changed = await app.client.send("PUT", path, { token, json: { title: "Still works" } });
		assert.equal(assertSuccess<Note>(changed).title, "Still works");
		assert.equal((await app.client.newNote(token)).username, "");
		assert.equal(app.broker.metrics.getMetric("policy.fallbacks.total")?.get({ action: "user.mget" })?.value, 4);

		app.broker.createService((await import("../../../services/user/user.service.ts")).default);
		await app.broker.waitForServices("user");
		assert.equal(assertSuccess<Note>(await app.client.send("GET", path, { token })).username, note.username);
	});

	it("answers 503 when its node has left, and the gateway recovers with the next one", async t => {
		const app = await startSplitApp(t);
		const { token } = await app.client.newUser();
		await app.worker.destroyService("note");
		assertFailure(await app.client.send("GET", "/v1/note/query", { token }), "unavailable");
		app.worker.createService((await import("../../../services/note/note.service.ts")).default);
		await app.worker.waitForServices("note");
		await app.broker.waitForServices("note");
		assertSuccess(await app.client.send("GET", "/v1/note/query", { token }));
	});
});
