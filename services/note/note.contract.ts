import { errorTable } from "../../lib/errors.ts";
import { cursor, limit, nextCursor } from "../../lib/paging.ts";
import { type Infer, id, integer, text } from "../../lib/schema.ts";

const title = { minChars: 1, maxChars: 128 } as const;
/** 65535 bytes are what a MySQL TEXT column holds. */
const content = { minChars: 1, maxBytes: 65_535, control: "lines" } as const;

export const createNote = { $$strict: true, title: text(title), content: text(content) } as const;
export const noteById = { $$strict: true, note_id: id } as const;
export const updateNote = {
	$$strict: true,
	note_id: id,
	title: text({ ...title, optional: true }),
	content: text({ ...content, optional: true }),
	version: integer({ min: 1, max: Number.MAX_SAFE_INTEGER, optional: true })
} as const;
export const queryNotes = {
	$$strict: true,
	search_key: text({ minChars: 1, maxChars: 128, optional: true }),
	offset: integer({ min: 0, max: Number.MAX_SAFE_INTEGER, optional: true }),
	limit,
	cursor
} as const;
export const manyNotes = { $$strict: true, note_ids: { type: "array", items: id, min: 1, max: 1000 } } as const;

export const noteResult = {
	note_id: id,
	user_id: id,
	username: { type: "string" },
	user_avatar: { type: "string" },
	title: { type: "string" },
	content: { type: "string" },
	create_time: { type: "number", integer: true },
	update_time: { type: "number", integer: true },
	version: { type: "number", integer: true }
} as const;
export const notePageResult = {
	total: { type: "number", integer: true },
	notes: { type: "array", items: { type: "object", props: noteResult } },
	next_cursor: nextCursor
} as const;

export type CreateNote = Infer<typeof createNote>;
export type NoteById = Infer<typeof noteById>;
export type UpdateNote = Infer<typeof updateNote>;
export type QueryNotes = Infer<typeof queryNotes>;
export type ManyNotes = Infer<typeof manyNotes>;
/** A note with its author's name; times in unix seconds. */
export type Note = Infer<typeof noteResult>;
/** One page of a user's notes, newest first; `next_cursor` is null on the last page. */
export type NotePage = Infer<typeof notePageResult>;

export const noteError = errorTable({
	/** Also the answer for somebody else's note: a refusal would tell that it exists. */
	NOTE_NOT_FOUND: [404, "Note not found"],
	NOTE_VERSION_CONFLICT: [409, "The note was changed in the meantime"]
});

declare module "../../lib/call.ts" {
	interface Actions {
		"note.create": { params: CreateNote; result: Note };
		"note.query": { params: QueryNotes; result: NotePage };
		"note.get": { params: NoteById; result: Note };
		"note.mget": { params: ManyNotes; result: Note[] };
		"note.update": { params: UpdateNote; result: Note };
		"note.remove": { params: NoteById; result: null };
		/** Resolves when the service can reach its database. */
		"note.ready": { params: undefined; result: true };
	}
}
