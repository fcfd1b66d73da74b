import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { present, writtenTexts } from "../../services/note/note.domain.ts";

describe("A change of a note", () => {
	it("writes the folded copy with each text and leaves out what is not given", () => {
		assert.deepEqual(writtenTexts({ title: "Ab" }), { title: "Ab", title_folded: "ab" });
		assert.deepEqual(writtenTexts({ content: "C" }), { content: "C", content_folded: "c" });
	});
});

describe("present()", () => {
	const note = {
		id: 3,
		user_id: 7,
		title: "t",
		content: "c",
		version: 2,
		created_at: new Date("2026-01-01T00:00:00.900Z"),
		updated_at: new Date("2026-01-01T00:00:01.100Z")
	};
	it("gives times in whole unix seconds and the author's name", () => {
		assert.deepEqual(present(note, { username: "ann", avatar: "a.png" }), {
			note_id: 3,
			user_id: 7,
			username: "ann",
			user_avatar: "a.png",
			title: "t",
			content: "c",
			create_time: 1767225600,
			update_time: 1767225601,
			version: 2
		});
	});
	it("leaves name and avatar empty for an author who is not known", () => {
		const { username, user_avatar } = present(note, undefined);
		assert.deepEqual({ username, user_avatar }, { username: "", user_avatar: "" });
	});
});
