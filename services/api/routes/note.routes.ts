import * as note from "../../note/note.contract.ts";
import type { RouteDefinition } from "../route.ts";

/** Notes. */
export const noteRoutes: readonly RouteDefinition[] = [
	{
		method: "POST",
		path: "/v1/note",
		action: "note.create",
		summary: "Write a note",
		auth: true,
		params: note.createNote,
		result: note.noteResult,
		status: 201,
		location: data => `/v1/note/${data.note_id}`,
		idempotent: true
	},
	{
		method: "GET",
		path: "/v1/note/query",
		action: "note.query",
		summary: "The user's notes, newest first",
		auth: true,
		params: note.queryNotes,
		result: note.notePageResult
	},
	{
		method: "GET",
		path: "/v1/note/:note_id",
		action: "note.get",
		summary: "One note",
		auth: true,
		params: note.noteById,
		result: note.noteResult,
		errors: [404]
	},
	{
		method: "PUT",
		path: "/v1/note/:note_id",
		action: "note.update",
		summary: "Change a note's title, content or both",
		auth: true,
		params: note.updateNote,
		anyOf: ["title", "content"],
		result: note.noteResult,
		errors: [404, 409]
	},
	{
		method: "DELETE",
		path: "/v1/note/:note_id",
		action: "note.remove",
		summary: "Delete a note",
		auth: true,
		params: note.noteById,
		errors: [404]
	}
];
