import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Validators } from "moleculer";
import { jsonSchema } from "../../lib/json-schema.ts";
import { dateTime, id, integer, text } from "../../lib/schema.ts";

interface JsonText {
	pattern?: string;
}

/** The error types of one value under one rule, as moleculer's validator finds them. */
function errorsOf(rule: object, value: unknown): string[] {
	const check = new Validators.Fastest().compile({ value: rule } as never) as (
		params: object
	) => true | { type: string }[];
	const result = check({ value });
	return result === true ? [] : result.map(error => error.type);
}

describe("text()", () => {
	const cases: [what: string, rule: object, value: unknown, errors: string[]][] = [
		["counts an emoji as one character", text({ minChars: 1, maxChars: 2 }), "😀😀", []],
		["refuses one character too many", text({ maxChars: 2 }), "😀😀😀", ["stringMax"]],
		["refuses what is empty after trimming", text({ minChars: 1, trim: true }), "  ", ["stringEmpty"]],
		["accepts blanks where it does not trim", text({ minChars: 1 }), "  ", []],
		["counts UTF-8 bytes", text({ maxBytes: 4 }), "äöü", ["stringBytes"]],
		["refuses a lone surrogate", text({}), "a\ud800b", ["stringUnicode"]],
		["refuses NUL", text({}), "a\0b", ["stringControl"]],
		["refuses a line break in a line", text({}), "a\nb", ["stringControl"]],
		["accepts line breaks and tabs in a text", text({ control: "lines" }), "a\r\n\tb", []],
		["refuses an escape in a text", text({ control: "lines" }), "a\u001bb", ["stringControl"]],
		["refuses a C1 control in a text", text({ control: "lines" }), "a\u0085b", ["stringControl"]],
		["accepts any character where told to", text({ control: "accept" }), "a\0b", []],
		["accepts right-to-left text and its marks", text({}), "שלום \u200f עולם", []],
		["refuses a number", text({}), 5, ["string"]],
		["refuses null", text({}), null, ["required"]],
		["refuses null where it is optional too", text({ optional: true }), null, ["null"]],
		["accepts nothing where it is optional", text({ optional: true }), undefined, []],
		["refuses a list", text({}), ["a"], ["string"]],
		["refuses an object", text({}), { a: 1 }, ["string"]]
	];
	for (const [what, rule, value, errors] of cases)
		it(what, () => {
			assert.deepEqual(errorsOf(rule, value), errors);
		});

	it("does not walk through a huge string to count it", () => {
		assert.deepEqual(errorsOf(text({ maxChars: 10 }), "x".repeat(1_000_000)), ["stringMax"]);
	});
});

describe("dateTime()", () => {
	const cases: [value: unknown, errors: string[]][] = [
		["2026-01-31T12:00:00Z", []],
		["2026-01-31t12:00:00.123456789z", []],
		["2028-02-29T23:59:59+14:00", []],
		["2026-02-29T12:00:00Z", ["time"]],
		["2026-02-30T00:00:00Z", ["time"]],
		["2026-04-31T00:00:00Z", ["time"]],
		["2026-13-01T00:00:00Z", ["time"]],
		["2026-00-10T00:00:00Z", ["time"]],
		["2026-01-32T00:00:00Z", ["time"]],
		["2026-01-31T24:00:00Z", ["time"]],
		["2026-01-31T12:00:60Z", ["time"]],
		["2026-01-31T12:00:00+24:00", ["time"]],
		["2026-01-31T12:00:00", ["time"]],
		["2026-01-31T12:00Z", ["time"]],
		["2026-01-31 12:00:00Z", ["time"]],
		["2026-01-31", ["time"]],
		["0000000000", ["time"]],
		["abcdefghij 5", ["time"]],
		["12/13/2026 10:00", ["time"]],
		["", ["time"]],
		[5, ["string"]],
		[null, ["null"]],
		[undefined, []]
	];
	for (const [value, errors] of cases)
		it(`${errors.length > 0 ? "refuses" : "takes"} ${value}`, () => {
			assert.deepEqual(errorsOf(dateTime({ optional: true }), value), errors);
			if (typeof value === "string" && errors.length === 0) assert.ok(Date.parse(value) > 0);
		});

	it("is a date-time in JSON Schema", () => {
		assert.deepEqual(jsonSchema({ from: dateTime({}) }).properties, { from: { type: "string", format: "date-time" } });
	});
});

describe("id", () => {
	const refused = [
		"0",
		"-1",
		"1.5",
		"1e999",
		String(2 ** 53),
		"1; drop",
		"",
		" ",
		"NaN",
		"7",
		null,
		true,
		[7],
		[1, 2],
		{},
		"0x"
	];
	for (const value of refused)
		it(`refuses ${JSON.stringify(value)}`, () => {
			assert.notDeepEqual(errorsOf(id, value), []);
		});
	for (const value of [1, 7, Number.MAX_SAFE_INTEGER])
		it(`accepts ${JSON.stringify(value)}`, () => {
			assert.deepEqual(errorsOf(id, value), []);
		});
});

describe("integer()", () => {
	const optional = integer({ min: 1, max: 5, optional: true });
	for (const value of [0, 6, 1.5, "1", null, Number.POSITIVE_INFINITY, Number.NaN, true, [1], {}])
		it(`refuses ${value}`, () => {
			assert.equal(errorsOf(optional, value).length, 1);
		});
	for (const value of [1, 5, undefined])
		it(`accepts ${value}`, () => {
			assert.deepEqual(errorsOf(optional, value), []);
		});
	it("refuses null and nothing once where it is required", () => {
		for (const value of [null, undefined]) assert.deepEqual(errorsOf(integer({ min: 1, max: 5 }), value), ["required"]);
	});
});

describe("jsonSchema()", () => {
	it("describes what the validator accepts", () => {
		const schema = {
			$$strict: true,
			name: text({ minChars: 1, maxChars: 5 }),
			body: text({ maxBytes: 9, control: "accept", optional: true }),
			id,
			next: { type: "string", nullable: true },
			line: { type: "string", min: 2, max: 7, pattern: /^\P{Cc}*$/u },
			list: { type: "array", items: { type: "object", props: { kind: { type: "enum", values: ["a", "b"] } } } }
		} as const;
		assert.deepEqual(jsonSchema(schema), {
			type: "object",
			additionalProperties: false,
			required: ["name", "id", "next", "line", "list"],
			properties: {
				name: { type: "string", minLength: 1, maxLength: 5, pattern: "^[^\\p{Cc}\\p{Cs}]*$" },
				body: { type: "string", maxLength: 9, pattern: "^\\P{Cs}*$", description: "At most 9 bytes in UTF-8." },
				id: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
				next: { type: ["string", "null"] },
				line: { type: "string", minLength: 2, maxLength: 7, pattern: "^\\P{Cc}*$" },
				list: {
					type: "array",
					items: { type: "object", required: ["kind"], properties: { kind: { type: "string", enum: ["a", "b"] } } }
				}
			}
		});
	});

	for (const control of ["refuse", "lines", "accept"] as const)
		it(`describes the characters that a text takes which is to ${control}`, () => {
			const rule = text({ control });
			const pattern = new RegExp(String((jsonSchema({ rule }).properties as { rule: JsonText }).rule.pattern), "u");
			for (const value of ["a", "ü😀", "a\tb\r\n", "a\0", "\u001b", "\u0085", "\u007f", "\ud800", "a\udc00b"])
				assert.equal(pattern.test(value), errorsOf(rule, value).length === 0, JSON.stringify(value));
		});

	it("refuses a rule that it does not understand", () => {
		assert.throws(() => jsonSchema({ a: { type: "date" } }), /type "date"/);
	});
});
