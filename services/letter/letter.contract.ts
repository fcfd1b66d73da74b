import { errorTable } from "../../lib/errors.ts";
import { limit } from "../../lib/paging.ts";
import { type Infer, id, integer, text } from "../../lib/schema.ts";

const consumer = text({ minChars: 1, maxChars: 64, optional: true });

export const listLetters = {
	$$strict: true,
	consumer,
	after: integer({ min: 0, max: Number.MAX_SAFE_INTEGER, optional: true }),
	limit
} as const;
export const letterById = { $$strict: true, letter_id: id } as const;
export const replayLetters = { $$strict: true, consumer } as const;

/** A letter without the message itself, which may hold anything. */
const letterResult = {
	letter_id: id,
	buried_at: { type: "string" },
	first_seen: { type: "string" },
	consumer: { type: "string" },
	stream: { type: "string" },
	seq: { type: "number", integer: true },
	subject: { type: "string" },
	event_id: { type: "string" },
	attempts: { type: "number", integer: true },
	error_type: { type: "string" },
	error_message: { type: "string" }
} as const;
export const letterPageResult = { letters: { type: "array", items: { type: "object", props: letterResult } } } as const;
export const wholeLetterResult = {
	...letterResult,
	error_stack: { type: "string" },
	headers: { type: "object", props: {} },
	data: { type: "string" }
} as const;
export const replayedResult = { letter_ids: { type: "array", items: id } } as const;

export type ListLetters = Infer<typeof listLetters>;
export type LetterById = Infer<typeof letterById>;
export type ReplayLetters = Infer<typeof replayLetters>;
export type Letter = Infer<typeof letterResult>;
export type LetterPage = Infer<typeof letterPageResult>;
export type Replayed = Infer<typeof replayedResult>;
/** A letter with its message and the whole error. */
export type WholeLetter = Letter & { error_stack: string; headers: Readonly<Record<string, string>>; data: string };

export const letterError = errorTable({
	LETTER_NOT_FOUND: [404, "Dead letter not found"],
	LETTER_UNDELIVERABLE: [409, "The letter's stream or consumer is not there any more"],
	LETTER_ADMIN_ONLY: [403, "Not allowed"]
});

declare module "../../lib/call.ts" {
	interface Actions {
		/** Dead letters, the oldest first. All of these are for admins only. */
		"letter.list": { params: ListLetters; result: LetterPage };
		"letter.show": { params: LetterById; result: WholeLetter };
		/** Sends a letter to its consumer again. LETTER_UNDELIVERABLE where that is not there any more. */
		"letter.replay": { params: LetterById; result: Replayed };
		"letter.replayAll": { params: ReplayLetters; result: Replayed };
		"letter.discard": { params: LetterById; result: null };
		"letter.ready": { params: undefined; result: true };
	}
}
