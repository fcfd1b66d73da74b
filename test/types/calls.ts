/** Type tests: compiled by `npm run types`, never run. Each expected error must be one. */
import type { Context } from "moleculer";
import { broadcast, call } from "../../lib/call.ts";
import type { Infer } from "../../lib/schema.ts";
import { id, text } from "../../lib/schema.ts";
import type { Note, UpdateNote } from "../../services/note/note.contract.ts";
import { noteError } from "../../services/note/note.contract.ts";
import type {} from "../../services/user/user.contract.ts";

declare const ctx: Context;
const broadcaster = { broadcast: async () => {} };

export async function typedCalls(): Promise<Note> {
	const note = await call(ctx, "note.create", { title: "a", content: "b" });
	await call(ctx, "user.me");
	await call(ctx, "user.ready", undefined, { timeout: 100 });

	// @ts-expect-error unknown action
	await call(ctx, "note.creat", { title: "a", content: "b" });
	// @ts-expect-error missing parameter
	await call(ctx, "note.create", { title: "a" });
	// @ts-expect-error wrong type
	await call(ctx, "note.create", { title: 1, content: "b" });
	// @ts-expect-error unknown parameter
	await call(ctx, "note.create", { title: "a", content: "b", user_id: 1 });
	// @ts-expect-error parameters are missing altogether
	await call(ctx, "note.create");
	// @ts-expect-error an action without parameters takes none
	await call(ctx, "user.me", { user_id: 1 });
	// @ts-expect-error the result has no such field
	note.nope;
	return note;
}

export async function typedEvents(): Promise<void> {
	await broadcast(broadcaster, "user.sessionsRevoked", { session_ids: ["a"] });
	// @ts-expect-error wrong payload
	await broadcast(broadcaster, "user.sessionsRevoked", { session_ids: "a" });
	// @ts-expect-error unknown event
	await broadcast(broadcaster, "user.sessionRevoked", { session_ids: ["a"] });
}

export function typedErrors(): Error {
	// @ts-expect-error not in the table
	noteError("NOTE_GONE");
	return noteError("NOTE_NOT_FOUND", { note_id: 1 });
}

const schema = {
	$$strict: true,
	name: text({ minChars: 1 }),
	count: { ...id, optional: true },
	kind: { type: "enum", values: ["a", "b"] },
	next: { type: "string", nullable: true },
	list: { type: "array", items: { type: "object", props: { on: { type: "boolean" } } } },
	shorthand: "string|min:3"
} as const;

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <T extends true>(value: T) => value;

export const inferred = [
	same<
		Same<
			Infer<typeof schema>,
			{
				name: string;
				kind: "a" | "b";
				next: string | null;
				list: { on: boolean }[];
				shorthand: never;
				count?: number;
			}
		>
	>(true),
	same<Same<UpdateNote, { note_id: number; title?: string; content?: string; version?: number }>>(true)
];
