import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { integer, text } from "../../lib/schema.ts";
import { DiscreetValidator } from "../../lib/validator.ts";

const check = new DiscreetValidator().compile({
	$$strict: true,
	name: text({ minChars: 3, maxChars: 5 }),
	age: integer({ min: 1, max: 9 }),
	list: { type: "array", optional: true, items: { type: "object", strict: true, props: { a: { type: "string" } } } }
});

describe("DiscreetValidator", () => {
	it("accepts what keeps the rules", () => {
		assert.equal(check({ name: "abc", age: 1 }), true);
	});

	const secrets: unknown[] = ["s3cret-s3cret", ["s3cret"], { s3cret: "s3cret" }, 53123713, "s3\0"];
	for (const secret of secrets)
		it(`tells the broken rules and not ${inspect(secret)}`, () => {
			const errors = check({ name: secret, age: secret }) as unknown as object[];
			assert.ok(errors.length >= 2);
			for (const error of errors) assert.deepEqual(Object.keys(error).sort(), ["field", "message", "type"]);
			assert.doesNotMatch(inspect(errors), /s3|53123713/);
		});

	it("tells which values are allowed", () => {
		const status = { type: "enum", values: ["open", "closed"] };
		const [error] = new DiscreetValidator().compile({ status })({ status: "ajar" }) as unknown as { message: string }[];
		assert.equal(error?.message, "The 'status' field must be one of: open, closed.");
	});

	it("names unknown fields one by one, inside of lists too", () => {
		const errors = check({ name: "abc", age: 1, x: 1, y: 1, list: [{ a: "a", b: "b" }] });
		const fields = (errors as unknown as { field: string }[]).map(error => error.field);
		assert.deepEqual(fields, ["list[0].b", "x", "y"]);
	});

	const many = Array.from({ length: 35_000 }, (_, i) => `x${i}`);
	for (const [what, names] of [
		["many unknown fields", many],
		["an unknown field with a long name", ["x".repeat(500_000)]],
		["an unknown field whose name is cut within a character", ["x".repeat(127) + "🐱".repeat(100_000)]]
	] as const)
		it(`tells of ${what} in an error that fits into a packet`, () => {
			const errors = check({ name: "abc", age: 1, ...Object.fromEntries(names.map(name => [name, 1])) });
			const fields = (errors as unknown as { field: string }[]).map(({ field }) => field);
			assert.deepEqual([fields.length, fields[0]?.slice(0, 2)], [Math.min(names.length, 100), names[0]?.slice(0, 2)]);
			assert.ok(fields.every(field => field.isWellFormed()));
			assert.ok(JSON.stringify(errors).length < 20_000);
		});

	it("checks every field of those that share a rule", () => {
		const word = text({ maxChars: 5, optional: true });
		const inner = { type: "object", optional: true, props: { word } };
		const checkWords = new DiscreetValidator().compile({ first: word, second: word, third: inner, fourth: inner });
		const all = { first: "\0", second: "\0", third: { word: "\0" }, fourth: { word: "\0" } };
		const errors = checkWords(all) as unknown as { field: string }[];
		assert.deepEqual(
			errors.map(error => error.field),
			["first", "second", "third.word", "fourth.word"]
		);
	});
});
