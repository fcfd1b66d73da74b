import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { redacted } from "../../../lib/observability/redact.ts";

const SECRET = "planted-secret";

describe("What is logged of a value", () => {
	const keys = ["password", "old_password", "passwordHash", "token", "refresh_token", "Authorization", "cookie", "jwt"];
	for (const key of [...keys, "token_hash", "JWT_KEYS", "clientSecret", "api-key", "apiKey", "credentials"])
		it(`is without the value of ${key}, at any depth`, () => {
			const value = { [key]: SECRET, list: [{ deep: { [key]: { more: SECRET } } }], kept: "kept" };
			const text = JSON.stringify(redacted(value));
			assert.doesNotMatch(text, /planted/);
			assert.match(text, /kept/);
		});

	it("is an error with all that it carries, its causes too, without secret keys", () => {
		const cause = Object.assign(new Error("cause"), { password: SECRET });
		const error = Object.assign(new TypeError("outer", { cause }), {
			code: 422,
			data: [{ field: "x", token: SECRET }]
		});
		const copy = redacted({ error }) as { error: Record<string, unknown> };
		assert.equal(copy.error.name, "TypeError");
		assert.equal(copy.error.message, "outer");
		assert.equal(copy.error.code, 422);
		assert.deepEqual(copy.error.data, [{ field: "x", token: "[redacted]" }]);
		assert.equal((copy.error.cause as Record<string, unknown>).message, "cause");
		assert.doesNotMatch(JSON.stringify(copy), /planted/);
	});

	it("is the error of a text that is no URL without that text", () => {
		assert.throws(
			() => new URL(`nats://notemesh:${SECRET}#x@nats`, `nats://notemesh:${SECRET}/x@nats`),
			error =>
				!JSON.stringify(redacted(error)).includes("planted") &&
				JSON.stringify(redacted(error)).includes("ERR_INVALID_URL")
		);
	});

	it("is a URL without its name, which may be a token, and its password", () => {
		for (const url of [`nats://notemesh:${SECRET}@nats:4222/a`, `nats://${SECRET}@nats:4222/a`])
			assert.equal(JSON.stringify(redacted({ url: new URL(url) })), '{"url":"nats://nats:4222/a"}');
	});

	it("has an end, whatever it refers to", () => {
		const circle: Record<string, unknown> = { name: "circle" };
		circle.self = circle;
		assert.deepEqual(redacted(circle), { name: "circle", self: "[circular]" });
		const deep = JSON.parse(`${'{"a":'.repeat(50)}1${"}".repeat(50)}`);
		assert.match(JSON.stringify(redacted(deep)), /\[object\]/);
		assert.equal((redacted(Array.from({ length: 1e5 }, () => 1)) as unknown[]).length, 100);
	});

	it("is what JSON can hold", () => {
		const value = { big: 1n, date: new Date(0), bytes: Buffer.from(SECRET), run: () => SECRET, none: null };
		assert.equal(
			JSON.stringify(redacted(value)),
			'{"big":"1","date":"1970-01-01T00:00:00.000Z","bytes":"[14 bytes]","none":null}'
		);
	});

	it("leaves the value itself alone", () => {
		const value = { password: SECRET };
		redacted(value);
		assert.deepEqual(value, { password: SECRET });
	});
});
