import { fold } from "../../lib/fold.ts";
import { cursors } from "../../lib/paging.ts";
import type { Note, UpdateNote } from "./note.contract.ts";

/** A stored note, as the store hands it out. */
export interface StoredNote {
	id: number;
	user_id: number;
	title: string;
	content: string;
	version: number;
	created_at: Date;
	updated_at: Date;
}

/** The author's public face; empty where the user service does not know them. */
export interface Author {
	username: string;
	avatar: string;
}

export const DEFAULT_LIMIT = 10;

/** What is written for a note's texts: each text and its folded copy, and nothing for a text that is not given. */
export function writtenTexts({ title, content }: Pick<UpdateNote, "title" | "content">) {
	return {
		...(title !== undefined && { title, title_folded: fold(title) }),
		...(content !== undefined && { content, content_folded: fold(content) })
	};
}

/** Cursors of a user's notes. */
export const noteCursors = cursors("n", ["id"]);

/** A note as clients see it. */
export function present(note: StoredNote, author: Author | undefined): Note {
	return {
		note_id: note.id,
		user_id: note.user_id,
		username: author?.username ?? "",
		user_avatar: author?.avatar ?? "",
		title: note.title,
		content: note.content,
		create_time: unixSeconds(note.created_at),
		update_time: unixSeconds(note.updated_at),
		version: note.version
	};
}

function unixSeconds(date: Date): number {
	return Math.floor(date.getTime() / 1000);
}
