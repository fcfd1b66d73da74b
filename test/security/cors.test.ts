import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type App, startApp, useEnvironment } from "../support/app.ts";

const OURS = "https://notes.example.com";
useEnvironment({ CORS_ORIGINS: `${OURS}, http://localhost:5173` });

let app: App;
before(async () => {
	app = await startApp({ after: () => {} });
});
after(() => app.stop());

const preflight = (origin: string, path = "/v1/note", method = "POST") =>
	app.client.send("OPTIONS", path, {
		headers: {
			Origin: origin,
			"Access-Control-Request-Method": method,
			"Access-Control-Request-Headers": "authorization"
		}
	});

describe("CORS, open for two origins", () => {
	for (const origin of [OURS, "http://localhost:5173"])
		it(`answers a preflight from ${origin}, without running anything`, async () => {
			const { status, headers, text } = await preflight(origin);
			assert.equal(status, 204);
			assert.equal(text, "");
			assert.equal(headers["access-control-allow-origin"], origin);
			assert.equal(headers["access-control-allow-methods"], "GET,HEAD,POST,PUT,DELETE");
			assert.equal(headers["access-control-allow-headers"], "Authorization,Content-Type,Idempotency-Key,traceparent");
			assert.equal(headers["access-control-max-age"], "600");
			assert.match(String(headers.vary), /Origin/);
			assert.match(String(headers["x-request-id"]), /^[0-9a-f]{32}$/);
			assert.equal(headers["access-control-allow-credentials"], undefined);
		});

	it("lets a page of such an origin read answers, refusals too, and the headers that are meant for it", async () => {
		for (const [path, status] of [
			["/ping", 200],
			["/v1/user/me", 401],
			["/nothing", 404]
		] as const) {
			const answer = await app.client.send("GET", path, { headers: { Origin: OURS } });
			assert.equal(answer.status, status);
			assert.equal(answer.headers["access-control-allow-origin"], OURS);
			assert.equal(answer.headers["cross-origin-resource-policy"], "cross-origin");
			assert.match(String(answer.headers["access-control-expose-headers"]), /Retry-After/);
		}
	});

	const strangers = [
		"https://evil.example",
		"null",
		"https://notes.example.com.evil.example",
		"https://evil-notes.example.com",
		"https://notes.example.co",
		"http://notes.example.com",
		"https://notes.example.com:8443",
		"https://NOTES.example.com",
		`${OURS}/`,
		`${OURS}, https://evil.example`
	];
	for (const origin of strangers)
		it(`gives ${origin} no leave`, async () => {
			for (const answer of [
				await preflight(origin),
				await app.client.send("GET", "/ping", { headers: { Origin: origin } })
			]) {
				assert.equal(answer.headers["access-control-allow-origin"], undefined);
				assert.match(String(answer.headers.vary), /Origin/);
				assert.equal(answer.headers["cross-origin-resource-policy"], "same-origin");
			}
		});

	it("still refuses OPTIONS that is no preflight", async () => {
		const { status, headers } = await app.client.send("OPTIONS", "/v1/note", { headers: { Origin: OURS } });
		assert.equal(status, 405);
		assert.equal(headers.allow, "POST");
	});
});
