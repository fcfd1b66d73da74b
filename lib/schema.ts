/**
 * One schema, one type. A parameter schema is a `fastest-validator` object written `as const`; `Infer` derives the
 * TypeScript type from it, moleculer validates with it, and `lib/json-schema.ts` turns it into OpenAPI.
 */

/** Which control characters are refused. */
export type Control = "refuse" | "lines" | "accept";

interface TextRule {
	/** Length in Unicode code points, as JSON Schema counts it. */
	readonly minChars?: number;
	readonly maxChars?: number;
	/** Length in UTF-8 bytes: what a TEXT column holds. */
	readonly maxBytes?: number;
	/** Which control characters are refused: all (default), all but tab and line breaks, or none. */
	readonly control?: Control;
}

interface TextOptions extends TextRule {
	readonly pattern?: RegExp;
	readonly trim?: boolean;
	readonly optional?: boolean;
	readonly description?: string;
}

interface RuleError {
	type: string;
	expected?: unknown;
	actual?: unknown;
}

const CONTROL = /\p{Cc}/u;
const CONTROL_BUT_LINES = /[^\P{Cc}\t\n\r]/u;

/** To fastest-validator null is as good as nothing where a field is optional, which would let it through to the handler. */
function checkNull(value: unknown, errors: RuleError[], rule: { readonly optional?: boolean }): unknown {
	if (value === null && rule.optional) errors.push({ type: "null" });
	return value;
}

function checkText(value: unknown, errors: RuleError[], rule: TextOptions): unknown {
	if (typeof value !== "string") return checkNull(value, errors, rule);
	const { minChars = 0, maxChars = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = rule;
	const { control = "refuse" } = rule;
	// A string is never shorter in UTF-16 units than in code points, so a huge input is refused without being walked.
	const chars = value.length > 2 * maxChars ? value.length : [...value].length;

	if (chars < minChars)
		errors.push({ type: chars === 0 ? "stringEmpty" : "stringMin", expected: minChars, actual: chars });
	if (chars > maxChars) errors.push({ type: "stringMax", expected: maxChars, actual: chars });
	if (Buffer.byteLength(value) > maxBytes) errors.push({ type: "stringBytes", expected: maxBytes });
	// A lone surrogate has no UTF-8 form: it would come back as another character than was sent.
	if (!value.isWellFormed()) errors.push({ type: "stringUnicode" });
	if (control === "refuse" && CONTROL.test(value)) errors.push({ type: "stringControl" });
	if (control === "lines" && CONTROL_BUT_LINES.test(value)) errors.push({ type: "stringControl" });
	return value;
}

/** Which control characters a rule refuses; undefined for rules that `text` has not made. */
export function controlOf({
	custom,
	control = "refuse"
}: {
	custom?: unknown;
	control?: Control;
}): Control | undefined {
	return custom === checkText ? control : undefined;
}

const nullMessage = { null: "The '{field}' field must not be null." } as const;

const textMessages = {
	...nullMessage,
	stringBytes: "The '{field}' field must be at most {expected} bytes long in UTF-8.",
	stringUnicode: "The '{field}' field must be well-formed Unicode.",
	stringControl: "The '{field}' field must not contain control characters."
} as const;

/**
 * A string rule that counts characters as people and JSON Schema do (code points, not UTF-16 units) and refuses what
 * could not be stored and read back unchanged.
 * @param options bounds in characters (`minChars`, `maxChars`) or bytes (`maxBytes`), `control` characters, `pattern`, `trim`,
 * `optional`
 */
export function text<const Options extends TextOptions>(options: Options) {
	return { type: "string", custom: checkText, messages: textMessages, ...options } as const;
}

/** RFC 3339, section 5.6, without leap seconds, which `Date` does not know. */
const DATE_TIME = /^(\d{4}-\d\d-\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;

function checkDateTime(value: unknown, errors: RuleError[], rule: { readonly optional?: boolean }): unknown {
	if (typeof value === "string" && !isDateTime(value)) errors.push({ type: "time" });
	return checkNull(value, errors, rule);
}

function isDateTime(text: string): boolean {
	const day = DATE_TIME.exec(text)?.[1];
	if (!day) return false;
	const midnight = new Date(`${day}T00:00:00Z`);
	// To `Date`, the 30th of February is the 2nd of March.
	return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}

const dateTimeMessages = { ...nullMessage, time: "The '{field}' field must be a time (RFC 3339)." } as const;

/** A point in time as RFC 3339 writes it, which `Date.parse` understands. @param options `optional` */
export function dateTime<const Options extends { readonly optional?: boolean }>(options: Options) {
	return {
		type: "string",
		format: "date-time",
		custom: checkDateTime,
		messages: dateTimeMessages,
		...options
	} as const;
}

interface IntegerOptions {
	readonly min: number;
	readonly max: number;
	readonly optional?: boolean;
}

/** A whole number rule. @param options bounds, both included, and `optional` */
export function integer<const Options extends IntegerOptions>(options: Options) {
	return { type: "number", integer: true, custom: checkNull, messages: nullMessage, ...options } as const;
}

/** A database id: an integer from 1 to 2^53-1. */
export const id = integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

type Simplify<T> = { [K in keyof T]: T[K] };
type IsOptional<Rule> = Rule extends { readonly optional: true } ? true : false;

type InferRule<Rule> = Rule extends { readonly nullable: true }
	? InferPlain<Omit<Rule, "nullable">> | null
	: InferPlain<Rule>;

type InferPlain<Rule> = Rule extends { readonly type: "string" }
	? string
	: Rule extends { readonly type: "number" }
		? number
		: Rule extends { readonly type: "boolean" }
			? boolean
			: Rule extends { readonly type: "enum"; readonly values: readonly (infer Value)[] }
				? Value
				: Rule extends { readonly type: "array"; readonly items: infer Items }
					? InferRule<Items>[]
					: Rule extends { readonly type: "object"; readonly props: infer Props }
						? Infer<Props>
						: never;

/**
 * The type that a schema accepts. Only object rules are understood (shorthand strings such as `"string|min:3"` become
 * `never`), so that no rule escapes the type checker.
 */
export type Infer<Schema> = Simplify<
	{
		-readonly [K in keyof Schema as K extends `$$${string}`
			? never
			: IsOptional<Schema[K]> extends true
				? never
				: K]: InferRule<Schema[K]>;
	} & { -readonly [K in keyof Schema as IsOptional<Schema[K]> extends true ? K : never]?: InferRule<Schema[K]> }
>;
