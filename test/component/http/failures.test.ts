import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Errors } from "moleculer";
import { env } from "../../../lib/env.ts";
import { signingKeys } from "../../../lib/signing-keys.ts";
import { accessTokens } from "../../../lib/tokens.ts";
import { routes } from "../../../services/api/routes.ts";
import type { Note } from "../../../services/note/note.contract.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, startApp, startSplitApp, stubService, useEnvironment } from "../../support/app.ts";
import { sampleRequests } from "../../support/requests.ts";

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
		user: { ...user, actions: { ...user.actions, revokedSessions: { handler: () => [] } } },
		note: stub("note"),
		audit: stub("audit"),
		letter: stub("letter"),
		points: stub("points")
	};
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
				const checks = {
					...{ user: "failed", note: "failed", points: "ok", transporter: "ok" },
					...{ audit: "failed", letter: "failed" }
				};
				assert.deepEqual([ready.status, ready.body], [503, { status: "failed", checks }]);
			});
		},
		{ user: null, note: null, audit: null, letter: null }
	);
});

describe("GET /readyz", () => {
	it("says ok while only services are away that a few routes need, and names them", async t => {
		const { client } = await startApp(t, { audit: null, letter: null, points: null });
		const ready = await client.send("GET", "/readyz");
		const checks = {
			...{ user: "ok", note: "ok", audit: "failed", letter: "failed" },
			...{ points: "failed", transporter: "ok" }
		};
		assert.deepEqual([ready.status, ready.body], [200, { status: "ok", checks }]);
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
});

describe("The note service", () => {
	it("writes nothing when the user service is gone, so that the client may try again; goes on for authors that it knows", async t => {
		const together = await startApp(t);
		const [unknown, known] = [await together.client.newUser(), await together.client.newUser()];
		const note = await together.client.newNote(known.token);

		await together.broker.destroyService("user");
		const write = (token: string) =>
			together.client.send("POST", "/v1/note", { token, json: { title: "Lost?", content: "x" } });
		assertFailure(await write(unknown.token), "unavailable");
		const written = assertSuccess<Note>(await write(known.token), 201);
		assert.deepEqual([written.username, written.user_id], [note.username, note.user_id]);

		together.broker.createService((await import("../../../services/user/user.service.ts")).default);
		await together.broker.waitForServices("user");
		const listOf = async (token: string) =>
			assertSuccess<{ notes: unknown[] }>(await together.client.send("GET", "/v1/note/query", { token })).notes;
		assert.deepEqual(await listOf(unknown.token), []);
		assert.deepEqual(await listOf(known.token), [written, note]);
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
