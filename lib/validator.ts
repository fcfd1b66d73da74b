import { Validators } from "moleculer";
import { type FieldError, MAX_FIELD_ERRORS, unknownField } from "./errors.ts";

interface BrokenRule extends FieldError {
	actual?: unknown;
	expected?: unknown;
}

/** fastest-validator's own shows the allowed values as the one that was sent. */
const MESSAGES = { enumValue: "The '{field}' field must be one of: {expected}." };

type Check = (params: Record<string, unknown>, options?: never) => true | BrokenRule[];

/**
 * moleculer's validator with errors that tell which rule was broken and never by what: they stand in logs and spans of
 * every node on the way, and what was refused may be a password. Unknown fields are named one by one. Fields may share a
 * rule.
 */
export class DiscreetValidator extends Validators.Fastest {
	constructor() {
		super({ messages: MESSAGES });
	}

	override compile(schema: Record<string, unknown>): ReturnType<Validators.Fastest["compile"]> {
		const check = super.compile(apart(schema)) as unknown as Check;
		const discreet: Check = (params, options) => {
			const result = check(params, options);
			return result === true || result.flatMap(withoutValue);
		};
		return discreet as unknown as ReturnType<Validators.Fastest["compile"]>;
	}
}

/**
 * A copy in which no two fields share a rule object. fastest-validator takes the second use for a circle and leaves out
 * the rule's `custom` there.
 */
function apart<T>(rule: T): T {
	if (Array.isArray(rule)) return rule.map(apart) as T;
	if (typeof rule !== "object" || rule === null || Object.getPrototypeOf(rule) !== Object.prototype) return rule;
	return Object.fromEntries(Object.entries(rule).map(([name, value]) => [name, apart(value)])) as T;
}

function withoutValue({ actual, expected, ...error }: BrokenRule): FieldError[] {
	if (error.type !== "objectStrict") return [error];
	// The error has to fit into a packet between nodes, whatever a client has sent.
	const names = String(actual).split(", ", MAX_FIELD_ERRORS);
	return names.map(name => unknownField(error.field ? `${error.field}.${name}` : name));
}
