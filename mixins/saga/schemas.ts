import { NAME } from "./definition.ts";

const STATUS = ["submitted", "aborting", "succeed", "failed"] as const;

/**
 * No control characters, and no lone surrogates: they could not be stored and read back unchanged. It counts characters as
 * JSON Schema does; `max` would count the halves of an emoji.
 */
const pattern = /^[^\p{Cc}\p{Cs}]{1,500}$/u;
const gid = { type: "string", min: 1, max: 64, pattern: NAME } as const;
const step = { type: "string", min: 1, max: 64, pattern: NAME } as const;
const reason = { type: "string", min: 1, pattern } as const;

/** The parameters of the mixin's actions; a gateway may want them too. */
export const sagaParams = {
	list: {
		$$strict: true,
		status: {
			type: "enum",
			values: STATUS,
			optional: true,
			messages: { enumValue: "The 'status' field must be one of: {expected}." }
		},
		attention: { type: "boolean", convert: true, optional: true },
		limit: { type: "number", integer: true, min: 1, max: 500, convert: true, optional: true }
	},
	get: { $$strict: true, gid },
	retry: { $$strict: true, gid, reason },
	skip: { $$strict: true, gid, step, reason },
	fail: { $$strict: true, gid, reason }
} as const;

const text = { type: "string" } as const;
const textOrNull = { type: "string", nullable: true } as const;
const why = { type: "object", nullable: true, props: { type: text, message: text } } as const;
const count = { type: "number", integer: true } as const;

const saga = {
	gid: text,
	name: text,
	version: count,
	status: { type: "enum", values: STATUS },
	epoch: count,
	owner: text,
	reason: why,
	needsAttention: { type: "boolean" },
	parked: { type: "boolean" },
	createdAt: text,
	nextRunAt: text,
	finishedAt: textOrNull,
	steps: {
		type: "array",
		items: {
			type: "object",
			props: { name: text, action: text, compensation: text, attempts: count, lastError: why, finishedAt: textOrNull }
		}
	}
} as const;

/** The rows of a contract for the actions that `SagaMixin` gives to a service: `interface Actions extends SagaActions<"user"> {}`. */
export type SagaActions<Owner extends string> = {
	[A in keyof Rows as `${Owner}.${A}`]: Rows[A];
};

interface Target {
	gid: string;
}

interface Intervention extends Target {
	reason: string;
}

interface Rows {
	"saga.outcome": {
		params: Target;
		result: { gid: string; status: "pending" | "succeed" | "failed"; reason: string | null };
	};
	"saga.list": {
		params: { status?: (typeof STATUS)[number]; attention?: boolean; limit?: number };
		result: { sagas: object[] };
	};
	"saga.get": { params: Target; result: object };
	"saga.retry": { params: Intervention; result: null };
	"saga.skip": { params: Intervention & { step: string }; result: null };
	"saga.fail": { params: Intervention; result: null };
}

/** What the reading actions answer, as far as clients should rely on it. */
export const sagaResults = {
	outcome: { gid: text, status: { type: "enum", values: ["pending", "succeed", "failed"] }, reason: textOrNull },
	list: { sagas: { type: "array", items: { type: "object", props: saga } } },
	get: {
		...saga,
		timeline: {
			type: "array",
			items: {
				type: "object",
				props: { at: text, what: text, step: textOrNull, actor: textOrNull, reason: textOrNull }
			}
		}
	}
} as const;
