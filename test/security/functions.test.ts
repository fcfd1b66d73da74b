import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Middleware, ServiceBroker } from "moleculer";
import { allRoutes, routes } from "../../services/api/routes.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";
import type { RequestOptions, TestUser } from "../support/client.ts";
import { sampleRequests } from "../support/requests.ts";

useEnvironment();

interface Call {
	action: string;
	params: Record<string, unknown>;
	meta: Record<string, unknown>;
}

/** The actions that have run, with what they were given. */
let calls: Call[] = [];
const recorder: Middleware = {
	name: "Recorder",
	localAction(next, { name }) {
		return function (ctx) {
			calls.push({ action: name as string, params: ctx.params as Call["params"], meta: { ...(ctx.meta as object) } });
			return next.call(this, ctx);
		};
	}
};
/** The gateway's own step before every action. */
const ENTRY = "api.rest";

let app: App;
let user: TestUser;
before(async () => {
	app = await startApp({ after: () => {} }, {}, { internalServices: true, middlewares: [recorder] });
	user = await app.client.newUser();
});
after(() => app.stop());

async function callsOf(method: string, path: string, options: RequestOptions = {}) {
	calls = [];
	const answer = await app.client.send(method, path, { token: user.token, ...options });
	return { answer, ran: calls.filter(({ action }) => action !== ENTRY) };
}

interface Registry {
	getActionList(options: object): { name: string }[];
}
const actionsOf = (broker: ServiceBroker) =>
	(broker.registry as unknown as Registry).getActionList({ withEndpoints: true }).map(({ name }) => name);

describe("API5: an action that no route leads to", () => {
	it("is not run by any way that moleculer-web has to write its name, whatever it is", async () => {
		const published = new Set<string>(allRoutes.map(route => route.action));
		const internal = actionsOf(app.broker).filter(name => !published.has(name));
		assert.ok(
			["$node.list", "user.setRole", "user.mget", "note.find", "user.check"].every(name => internal.includes(name)),
			String(internal)
		);

		for (const name of internal) {
			const [service = "", action = ""] = name.split(".");
			const plain = service.replace("$", "");
			const paths = [
				`/${service}/${action}`,
				`/~${plain}/${action}`,
				`/%24${plain}/${action}`,
				`/%7e${plain}/${action}`,
				`/${name}`,
				`/~${plain}.${action}`,
				`/api/${service}/${action}`,
				`/api/~${plain}/${action}`,
				`/v1/${service}/${action}`,
				`/v1/${name}`,
				`/v1/${service}.${action}`,
				`//${service}/${action}`,
				`/docs/${name}`,
				`/docs/../${service}/${action}`,
				`/v1/note/../../${service}/${action}`
			];
			for (const path of paths)
				for (const method of ["GET", "POST", "PUT", "DELETE"]) {
					const { answer, ran } = await callsOf(method, path);
					assert.ok([404, 405, 422].includes(answer.status), `${method} ${path}: ${answer.status}`);
					const unwanted = ran.filter(call => !published.has(call.action));
					assert.deepEqual(unwanted, [], `${method} ${path}`);
				}
		}
	});

	it("stays internal: only the actions of routes are published", () => {
		const { registry } = app.broker as unknown as {
			registry: { getActionList(options: object): { name: string; action: { visibility?: string } }[] };
		};
		const published = registry
			.getActionList({ withEndpoints: true, skipInternal: true })
			.filter(
				({ action }) =>
					action.visibility === undefined || action.visibility === null || action.visibility === "published"
			)
			.map(({ name }) => name);
		const reachable = new Set<string>([ENTRY, ...allRoutes.map(route => route.action)]);
		assert.deepEqual(
			published.filter(name => !reachable.has(name)),
			[]
		);
	});

	it("is not run by a preflight, an override header or another method", async () => {
		const created = await app.client.send("POST", "/v1/note", {
			token: user.token,
			json: { title: "a", content: "b" }
		});
		const path = `/v1/note/${(created.body.data as { note_id: number }).note_id}`;
		const tries: [method: string, headers: Record<string, string>][] = [
			["OPTIONS", { "Access-Control-Request-Method": "DELETE", Origin: "https://evil.example" }],
			["GET", { "X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE" }],
			["HEAD", { "X-HTTP-Method-Override": "DELETE" }],
			["TRACE", {}],
			["PATCH", {}]
		];
		for (const [method, headers] of tries) {
			const { ran } = await callsOf(method, path, { headers });
			assert.deepEqual(
				ran.filter(({ action }) => action === "note.remove"),
				[],
				method
			);
		}
		assert.equal((await app.client.send("GET", path, { token: user.token })).status, 200);
	});
});

describe("API5: the role of an administrator", () => {
	it("is not had by asking for it", async () => {
		for (const json of [
			{ username: "boss", password: "123456", role: "admin" },
			{ username: "boss", password: "123456", "role[]": "admin" }
		]) {
			const { answer, ran } = await callsOf("POST", "/v1/user/register", { json });
			assert.equal(answer.status, 422);
			assert.deepEqual(ran, []);
		}
		const payload = JSON.parse(Buffer.from(user.token.split(".")[1] as string, "base64url").toString());
		assert.equal(payload.role, "user");
	});
});

describe("API5: a route for administrators", () => {
	const guarded = sampleRequests().filter(({ route }) => route.role);

	it("is there", () => {
		assert.ok(guarded.length > 0);
	});
	for (const { name, route, path, options } of guarded)
		it(`runs nothing for a user, and nothing for nobody: ${name}`, async () => {
			const wanted = { "X-Role": "admin", "X-User": '{"role":"admin"}' };
			const asUser = await callsOf(route.method, path, { ...options, headers: wanted });
			assert.equal(asUser.answer.status, 403);
			const asNobody = await app.client.send(route.method, path, { ...options, headers: wanted });
			assert.equal(asNobody.status, 401);
			assert.deepEqual(asUser.ran, []);
		});
	it("runs for an administrator, and no longer once the role is taken away", async () => {
		const boss = await app.client.newUser();
		const setRole = (role: string) => app.broker.call("user.setRole", { user_id: boss.user_id, role });
		const list = async (token: unknown) =>
			(await app.client.send("GET", "/v1/admin/saga", { token: String(token) })).status;
		const login = async () => {
			const json = { username: boss.username, password: boss.password };
			return (await app.client.send("POST", "/v1/user/login", { json })).body.token;
		};
		assert.equal(await list(boss.token), 403);
		await setRole("admin");
		const token = await login();
		assert.equal(await list(token), 200);
		await setRole("user");
		assert.equal(await list(token), 401, "the token of an administrator dies with the role");
		assert.equal(await list(await login()), 403);
	});
});

describe("What reaches an action from a request", () => {
	const hostile: RequestOptions["headers"] = {
		"X-User": '{"id":1,"role":"admin"}',
		"X-User-ID": "1",
		"X-Role": "admin",
		"X-Meta": '{"user":{"id":1}}',
		"X-Moleculer-Meta": '{"user":{"id":1}}',
		"X-Request-ID": "forged",
		"X-Parent-ID": "forged",
		Tracestate: "a=b",
		"X-Forwarded-User": "admin",
		"X-Auth-Request-User": "admin",
		Cookie: '$meta={"user":{"id":1}}; user=1'
	};

	for (const { route, path, options } of sampleRequests().filter(({ route }) => route.auth && !route.role))
		it(`${route.method} ${route.path}: the identity of the token and nothing else in meta, whatever headers say`, async () => {
			const fresh = route.action === "user.logout" ? await app.client.newUser() : user;
			const { ran } = await callsOf(route.method, path, { ...options, token: fresh.token, headers: hostile });
			const [call] = ran.filter(({ action }) => action === route.action);
			assert.ok(call, "the action ran");
			const identity = call.meta.user as { id: number; role: string; session_id: string };
			assert.deepEqual(Object.keys(call.meta), ["user"]);
			assert.deepEqual(Object.keys(identity).sort(), ["id", "role", "session_id"]);
			assert.deepEqual([identity.id, identity.role], [fresh.user_id, "user"]);
			assert.deepEqual(
				Object.keys(call.params).filter(name => !(name in (route.params ?? {}))),
				[]
			);
		});

	it("is nobody's identity where a route asks for none", async () => {
		const { ran } = await callsOf("POST", "/v1/user/login", {
			headers: hostile,
			json: { username: "x", password: "y" }
		});
		const [login] = ran.filter(({ action }) => action === "user.login");
		assert.deepEqual(login?.meta, { user: null });
	});

	it("is no parameter that the gateway or moleculer would take for its own", async () => {
		for (const name of [
			"$ctx",
			"$req",
			"$res",
			"$params",
			"meta",
			"$meta",
			"opts",
			"nodeID",
			"timeout",
			"stream",
			"$streamObjectMode",
			"__proto__"
		]) {
			const json = JSON.parse(`{"title":"a","content":"b",${JSON.stringify(name)}:{"user":{"id":1}}}`);
			const { answer, ran } = await callsOf("POST", "/v1/note", { json });
			assert.equal(answer.status, 422, name);
			assert.deepEqual(ran, [], name);
		}
	});
});

describe("API9: the inventory", () => {
	it("of the gateway is the table of routes, and that of the document too", async () => {
		const gateway = app.broker.getLocalService("api") as unknown as { aliases: { method: string; fullPath: string }[] };
		const served = gateway.aliases
			.map(({ method, fullPath }) => `${method} ${fullPath}`)
			.filter(name => !name.startsWith("HEAD"));
		assert.deepEqual(served.sort(), allRoutes.map(({ method, path }) => `${method} ${path}`).sort());

		const document = JSON.parse((await app.client.send("GET", "/openapi.json")).text) as {
			paths: Record<string, object>;
		};
		const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
			Object.keys(methods).map(method => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ":$1")}`)
		);
		assert.deepEqual(documented.sort(), routes.map(({ method, path }) => `${method} ${path}`).sort());
	});
});
