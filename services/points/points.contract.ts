import { errorTable } from "../../lib/errors.ts";
import { cursor, limit, nextCursor } from "../../lib/paging.ts";
import { type Infer, id, text } from "../../lib/schema.ts";

const points = { type: "number", integer: true, min: 1, max: 1_000_000 } as const;

export const changePoints = { $$strict: true, user_id: id, points } as const;
export const spendPoints = {
	$$strict: true,
	user_id: id,
	points,
	/**
	 * What the points are spent for, in ASCII without spaces: MySQL ignores those at the end of a text. A repetition under the
	 * same reference is booked once.
	 */
	reference: text({ minChars: 1, maxChars: 64, pattern: /^[\x21-\x7e]*$/ })
} as const;
export const queryHistory = {
	$$strict: true,
	limit,
	cursor
} as const;

export const balanceResult = { balance: { type: "number", integer: true } } as const;
const entryResult = {
	entry_id: id,
	kind: { type: "enum", values: ["grant", "revoke", "spend"] },
	points: { type: "number", integer: true },
	balance: { type: "number", integer: true },
	create_time: { type: "number", integer: true }
} as const;
export const historyResult = {
	entries: { type: "array", items: { type: "object", props: entryResult } },
	next_cursor: nextCursor
} as const;

export type ChangePoints = Infer<typeof changePoints>;
export type SpendPoints = Infer<typeof spendPoints>;
export type QueryHistory = Infer<typeof queryHistory>;
export type Balance = Infer<typeof balanceResult>;
/** One change of an account; points are negative where they were taken, the time is in unix seconds. */
export type Entry = Infer<typeof entryResult>;
/** One page of a user's changes, newest first; `next_cursor` is null on the last page. */
export type History = Infer<typeof historyResult>;

export const pointsError = errorTable({
	POINTS_INSUFFICIENT: [409, "Not enough points"],
	POINTS_REFERENCE_USED: [409, "This reference was used for another amount"]
});

declare module "../../lib/call.ts" {
	interface Actions {
		/** A saga's branch: adds points. */
		"points.grant": { params: ChangePoints; result: Balance };
		/** Takes back what `points.grant` added in the same saga. */
		"points.revoke": { params: ChangePoints; result: Balance };
		"points.spend": { params: SpendPoints; result: Balance };
		"points.balance": { params: undefined; result: Balance };
		"points.history": { params: QueryHistory; result: History };
		/** Resolves when the service can reach its database. */
		"points.ready": { params: undefined; result: true };
	}
}
