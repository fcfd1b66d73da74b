import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { allRoutes } from "../../services/api/routes.ts";
import { type App, startApp, useEnvironment } from "../support/app.ts";

useEnvironment();

let app: App;
before(async () => {
	app = await startApp({ after: () => {} });
});
after(() => app.stop());

const expected = {
	"content-security-policy": "default-src 'none';frame-ancestors 'none'",
	"x-content-type-options": "nosniff",
	"x-frame-options": "DENY",
	"referrer-policy": "no-referrer",
	"cross-origin-resource-policy": "same-origin",
	"cross-origin-opener-policy": "same-origin",
	"strict-transport-security": "max-age=31536000; includeSubDomains",
	"cache-control": "no-store"
};

describe("Security headers", () => {
	const requests: [method: string, path: string, status: number][] = [
		["GET", "/ping", 200],
		["HEAD", "/ping", 200],
		["GET", "/v1/user/me", 401],
		["GET", "/nothing", 404],
		["PATCH", "/v1/note", 405],
		["OPTIONS", "/v1/note", 405],
		["POST", "/v1/user/login", 422]
	];
	for (const [method, path, status] of requests)
		it(`stand on ${method} ${path} (${status})`, async () => {
			const answer = await app.client.send(method, path);
			assert.equal(answer.status, status);
			for (const [name, value] of Object.entries(expected)) assert.equal(answer.headers[name], value, name);
		});

	it("tell nothing of what the server is made of", async () => {
		const { headers } = await app.client.send("GET", "/ping");
		assert.equal(headers.server, undefined);
		assert.equal(headers["x-powered-by"], undefined);
	});

	it("give the docs page leave for its own files only, and no inline script or style", async () => {
		const { headers, text } = await app.client.send("GET", "/docs");
		const policy = String(headers["content-security-policy"]);
		assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self';/);
		assert.doesNotMatch(policy, /unsafe|\*|https?:/);
		assert.doesNotMatch(text, /<script(?! src="\/docs\/)|<style|\son\w+=|style=|https?:\/\//);
	});
});

describe("The id of a request", () => {
	it("is ours, whatever ids a client sends", async () => {
		const forged = { "X-Request-ID": "forged", "X-Correlation-ID": "forged" };
		const { headers } = await app.client.send("GET", "/ping", { headers: forged });
		assert.match(String(headers["x-request-id"]), /^[0-9a-f]{32}$/);
	});
});

describe("CORS, closed", () => {
	for (const { method, path } of allRoutes)
		it(`refuses a preflight for ${method} ${path} with 405 and runs nothing`, async () => {
			const headers = { Origin: "https://evil.example", "Access-Control-Request-Method": method };
			const answer = await app.client.send("OPTIONS", path.replace(":note_id", "1").replace(":file", "page.js"), {
				headers
			});
			assert.equal(answer.status, 405);
			assert.deepEqual(
				Object.keys(answer.headers).filter(name => name.startsWith("access-control")),
				[]
			);
		});

	it("gives other sites no leave to read an answer", async () => {
		const { headers } = await app.client.send("GET", "/ping", { headers: { Origin: "https://evil.example" } });
		assert.deepEqual(
			Object.keys(headers).filter(name => name.startsWith("access-control")),
			[]
		);
		assert.equal(headers["cross-origin-resource-policy"], "same-origin");
	});
});

describe("A cookie that a browser sends along", () => {
	it("counts for this site and for programs, not for other sites", async () => {
		const { token } = await app.client.newUser();
		const me = (headers: Record<string, string>) =>
			app.client
				.send("GET", "/v1/user/me", { headers: { Cookie: `jwt=${token}`, ...headers } })
				.then(({ status }) => status);
		assert.equal(await me({}), 200);
		assert.equal(await me({ "Sec-Fetch-Site": "same-origin" }), 200);
		assert.equal(await me({ "Sec-Fetch-Site": "none" }), 200);
		assert.equal(await me({ "Sec-Fetch-Site": "cross-site" }), 401);
		assert.equal(await me({ "Sec-Fetch-Site": "same-site" }), 401);
	});
	it("does not let another site end a login with a form", async () => {
		const { token } = await app.client.newUser();
		const logout = await app.client.send("POST", "/v1/user/logout", {
			headers: { Cookie: `jwt=${token}`, Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }
		});
		assert.equal(logout.status, 401);
		assert.equal((await app.client.send("GET", "/v1/user/me", { token })).status, 200);
	});
});
