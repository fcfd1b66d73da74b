import fc, { type Arbitrary } from "fast-check";
import type { JsonSchema, Operation } from "./document.ts";
import { hostileTexts, strangeHeaders, strangeNames } from "./hostile.ts";

/** How a request says who sends it. */
export const IDENTITIES = ["own", "none", "garbage", "forged", "cookie"] as const;

/** A request before it is known which user, which notes and which tokens there are. */
export interface FuzzRequest {
	/** Replaces the operation's method. */
	method: string | undefined;
	path: Record<string, string>;
	query: [name: string, value: string][];
	/** Text after the query's `?` instead of `query`. */
	rawQuery: string | undefined;
	body: FuzzBody;
	identity: (typeof IDENTITIES)[number];
	headers: Record<string, string>;
}

export type FuzzBody =
	| { kind: "none" }
	| { kind: "json"; value: unknown }
	| { kind: "form"; fields: [string, string][] }
	| { kind: "raw"; bytes: Buffer; type: string };

const text = fc.oneof(
	{ weight: 3, arbitrary: fc.constantFrom(...hostileTexts) },
	{ weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
	{ weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 200 }) }
);

/** Anything that JSON can say, with numbers at the edges and names that objects already have. */
const anything = fc.oneof(
	text,
	fc.constantFrom<unknown>(
		null,
		true,
		false,
		0,
		-1,
		1.5,
		1e21,
		Number.MAX_SAFE_INTEGER,
		2 ** 53,
		-(2 ** 63),
		[],
		{},
		[[]],
		[1]
	),
	fc.constantFrom<unknown>({ $ne: null }, { $gt: "" }, { length: 1e9 }, { toString: 1 }, { toJSON: "x" }),
	fc.jsonValue({ maxDepth: 3 }) as Arbitrary<unknown>,
	fc.constant(nested(500))
);

/** A value that a schema allows, as far as the schema tells. */
function valid(schema: JsonSchema): Arbitrary<unknown> {
	const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
	if (schema.enum) return fc.constantFrom(...schema.enum);
	if (type === "integer" || type === "number") {
		const [min, max] = [schema.minimum ?? 0, schema.maximum ?? 1000];
		return fc.oneof(fc.integer({ min, max: Math.min(max, min + 50) }), fc.constantFrom(min, max));
	}
	if (type === "boolean") return fc.boolean();
	const [minLength, maxLength] = [schema.minLength ?? 0, schema.maxLength ?? 100];
	const plain = fc.string({ unit: "grapheme-ascii", minLength, maxLength: Math.min(maxLength, minLength + 40) });
	return fc.oneof(
		{ weight: 4, arbitrary: plain },
		{ weight: 1, arbitrary: fc.constantFrom("x".repeat(minLength), "x".repeat(maxLength)) }
	);
}

/** Words that the fuzzer replaces by what it knows when it sends a request. */
const words: Readonly<Record<string, string>> = {
	username: "{username}",
	password: "{password}",
	old_password: "{password}",
	refresh_token: "{refresh_token}"
};

/** The fields of an object: mostly right, with some left out, some wrong and some too many. */
function fields(schema: JsonSchema, wrong: Arbitrary<unknown>): Arbitrary<Record<string, unknown>> {
	const { properties = {}, required = [] } = schema;
	const field = (name: string, rule: JsonSchema) =>
		fc.oneof(
			{ weight: 8, arbitrary: valid(rule) },
			{ weight: name in words ? 8 : 0, arbitrary: fc.constant(words[name]) },
			{ weight: 2, arbitrary: wrong },
			{ weight: required.includes(name) ? 1 : 8, arbitrary: fc.constant(undefined) }
		);
	const known = fc.record(
		Object.fromEntries(Object.entries(properties).map(([name, rule]) => [name, field(name, rule)]))
	);
	const unknown = fc.oneof(
		{ weight: 6, arbitrary: fc.constant({}) },
		{ weight: 1, arbitrary: fc.dictionary(fc.constantFrom(...strangeNames), wrong, { maxKeys: 2 }) }
	);
	return fc.tuple(known, unknown).map(([fields, more]) => {
		const all = [...Object.entries(fields), ...Object.entries(more)].filter(([, value]) => value !== undefined);
		// Unlike a literal, this makes "__proto__" a field.
		return Object.fromEntries(all);
	});
}

const rawBodies = fc.oneof(
	fc.constantFrom(
		...[
			"",
			"{",
			"[",
			"nul",
			'"',
			'{"a":',
			'{"a":1}}',
			"[1]",
			'"text"',
			"1",
			"null",
			"true",
			"\ufeff{}",
			"{'a':1}",
			'{"a":1,"a":2}'
		].map(Buffer.from),
		Buffer.from([0xff, 0xfe]),
		Buffer.from('{"title":"\xff"}', "latin1"),
		Buffer.from("{}", "utf16le"),
		Buffer.alloc(1000),
		Buffer.from('{"__proto__":{"role":"admin"},"title":"a","content":"b"}'),
		Buffer.from('{"title":"\\ud800","content":"b"}'),
		Buffer.from(`{"title":${"[".repeat(20_000)}`),
		Buffer.from(`{"title":"${"a".repeat(600_000)}"}`)
	),
	fc.uint8Array({ maxLength: 300 }).map(Buffer.from)
);
const types = [
	"application/json",
	"application/json; charset=utf-8",
	"text/plain",
	"application/x-www-form-urlencoded",
	"multipart/form-data; boundary=x",
	"application/xml",
	"",
	";",
	"application/json, text/html"
];

function bodyOf({ body, takesForm }: Operation): Arbitrary<FuzzBody> {
	const none = fc.constant<FuzzBody>({ kind: "none" });
	const raw = fc.record({ kind: fc.constant("raw" as const), bytes: rawBodies, type: fc.constantFrom(...types) });
	if (!body) return fc.oneof({ weight: 8, arbitrary: none }, { weight: 1, arbitrary: raw });

	const json = fields(body, anything).map<FuzzBody>(value => ({ kind: "json", value }));
	const form = fields(body, text).map<FuzzBody>(value => ({ kind: "form", fields: asText(value) }));
	return fc.oneof(
		{ weight: 12, arbitrary: json },
		{ weight: takesForm ? 3 : 1, arbitrary: form },
		{ weight: 2, arbitrary: raw },
		{ weight: 1, arbitrary: none },
		{ weight: 1, arbitrary: anything.map<FuzzBody>(value => ({ kind: "json", value })) }
	);
}

/** Requests to one operation, from good ones to attacks. Text that stands for an id is one of those that exist, or not. */
export function requestsTo(operation: Operation): Arbitrary<FuzzRequest> {
	const parameters = (where: "path" | "query") => {
		const these = (operation.parameters ?? []).filter(parameter => parameter.in === where);
		return {
			properties: Object.fromEntries(these.map(({ name, schema }) => [name, schema])),
			required: these.filter(({ required }) => required).map(({ name }) => name)
		};
	};
	const inPath = Object.keys(parameters("path").properties);
	const id = fc.oneof(
		{ weight: 4, arbitrary: fc.constantFrom("{own}", "{own}", "{foreign}", "{deleted}") },
		// Nothing at all would be another path.
		{ weight: 2, arbitrary: fc.oneof(text, fc.integer().map(String)).filter(value => value !== "") }
	);
	const rawQuery = fc.constantFrom(
		"%",
		"%zz",
		"%ff",
		"=",
		"&&&",
		"a&a",
		"limit[]=1",
		"limit=1&limit=2",
		"__proto__=1",
		"?".repeat(50),
		"a=%00"
	);
	const rarely = <T>(weight: number, arbitrary: Arbitrary<T>) =>
		fc.oneof({ weight, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

	return fc.record({
		method: rarely(
			30,
			fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND")
		),
		path: fc.record(Object.fromEntries(inPath.map(name => [name, id]))),
		query: fields(parameters("query"), text).map(asText),
		rawQuery: rarely(20, rawQuery),
		body: bodyOf(operation),
		identity: fc.oneof(
			{ weight: 8, arbitrary: fc.constant("own" as const) },
			{ weight: 2, arbitrary: fc.constantFrom(...IDENTITIES) }
		),
		headers: fc.oneof(
			{ weight: 8, arbitrary: fc.constant({}) },
			{ weight: 1, arbitrary: fc.constantFrom(...strangeHeaders) }
		)
	});
}

function asText(fields: Record<string, unknown>): [string, string][] {
	return Object.entries(fields).map(([name, value]) => [
		name,
		typeof value === "string" ? value : JSON.stringify(value)
	]);
}

function nested(depth: number): unknown {
	let value: unknown = "deep";
	for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value };
	return value;
}
