import { type Control, controlOf } from "./schema.ts";

/** A rule of `fastest-validator` in object form, with the extensions of `lib/schema.ts`. */
interface Rule {
	readonly type?: string;
	readonly optional?: boolean;
	readonly nullable?: boolean;
	readonly description?: string;
	readonly format?: string;
	readonly values?: readonly unknown[];
	readonly items?: Rule;
	readonly props?: Readonly<Record<string, Rule>>;
	readonly integer?: boolean;
	readonly min?: number;
	readonly max?: number;
	readonly minChars?: number;
	readonly maxChars?: number;
	readonly maxBytes?: number;
	readonly pattern?: RegExp;
	readonly custom?: unknown;
	readonly control?: Control;
}

/** What `control` refuses, and halves of characters, as a pattern. */
const CHARACTERS: Readonly<Record<Control, string>> = {
	refuse: "^[^\\p{Cc}\\p{Cs}]*$",
	lines: "^(?:[^\\p{Cc}\\p{Cs}]|[\\t\\n\\r])*$",
	accept: "^\\P{Cs}*$"
};

type JsonSchema = Record<string, unknown>;

/** The JSON Schema (2020-12) of a parameter or result schema. Bytes have no word in JSON Schema and go to the description. */
export function jsonSchema(schema: Readonly<Record<string, unknown>>): JsonSchema {
	const rules = Object.entries(schema).filter(([name]) => !name.startsWith("$$")) as [string, Rule][];
	return {
		type: "object",
		...(schema.$$strict === true && { additionalProperties: false }),
		required: rules.filter(([, rule]) => !rule.optional).map(([name]) => name),
		properties: Object.fromEntries(rules.map(([name, rule]) => [name, ofRule(rule)]))
	};
}

function ofRule(rule: Rule): JsonSchema {
	const plain = defined(ofType(rule));
	return rule.nullable ? { ...plain, type: [plain.type, "null"] } : plain;
}

function ofType(rule: Rule): JsonSchema {
	switch (rule.type) {
		case "number":
			return { type: rule.integer ? "integer" : "number", minimum: rule.min, maximum: rule.max };
		case "boolean":
			return { type: "boolean" };
		case "enum":
			return { type: "string", enum: rule.values };
		case "array":
			return { type: "array", items: ofRule(rule.items ?? {}), minItems: rule.min, maxItems: rule.max };
		case "object":
			return jsonSchema(rule.props ?? {});
		case "string": {
			const control = controlOf(rule);
			const bytes = rule.maxBytes === undefined ? undefined : `At most ${rule.maxBytes} bytes in UTF-8.`;
			return {
				type: "string",
				format: rule.format,
				minLength: rule.minChars ?? rule.min,
				maxLength: rule.maxChars ?? rule.maxBytes ?? rule.max,
				pattern: rule.pattern?.source ?? (control && CHARACTERS[control]),
				description: rule.description ?? bytes
			};
		}
		default:
			throw new Error(`No JSON Schema for a rule of type "${rule.type}"`);
	}
}

function defined(schema: JsonSchema): JsonSchema {
	return Object.fromEntries(Object.entries(schema).filter(([, value]) => value !== undefined));
}
