import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Note, NotePage } from "../../../services/note/note.contract.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, Client, TestUser } from "../../support/client.ts";

useEnvironment();

const METHODS = ["GET", "PUT", "DELETE"];

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	let note: Note;
	before(async () => {
		client = app().client;
		user = await client.newUser();
		note = await client.newNote(user.token);
	});

	const send = (method: string, id: string | number, { token } = user): Promise<Answer> =>
		client.send(method, `/v1/note/${id}`, { token, json: method === "PUT" ? { title: "Changed" } : undefined });

	describe("A note's id", () => {
		const invalid = [
			...["0", "-1", "-0", "1.5", "1.0", "1e0", "1e999", "01", "+1", "0x1", "0b1", "1_0", "1,0", "9007199254740992"],
			...["abc", "1;%20drop", "1'--", "1%20OR%201=1", "null", "undefined", "true", "NaN", "Infinity", "__proto__"],
			...[
				"%00",
				"1%00",
				"%201",
				"1%20",
				"%0A1",
				"%31%00",
				"%E2%80%A81",
				"%EF%BC%91",
				"%D9%A1",
				"..%2F1",
				"%2e%2e",
				"[1]",
				"*"
			],
			...["1".repeat(400), "1".repeat(10_000), encodeURIComponent("👍")]
		];
		for (const id of invalid)
			it(`may not be ${id.slice(0, 40)}`, async () => {
				for (const method of METHODS) assertInvalid(await send(method, id), "note_id");
			});

		for (const id of ["%", "%ff", "%zz", "%C3", "%ED%A0%80"])
			it(`may not be ${id}, which is not percent-encoded UTF-8`, async () => {
				for (const method of METHODS) assertFailure(await send(method, id), "unreadable");
			});

		it("may be percent-encoded", async () => {
			const encoded = [...String(note.note_id)].map(digit => `%3${digit}`).join("");
			assert.deepEqual(assertSuccess(await send("GET", encoded)), note);
		});

		it("does not come from query or body", async () => {
			const json = { title: "x", note_id: note.note_id };
			assertInvalid(await client.send("PUT", "/v1/note/1", { token: user.token, json }), "note_id");
			for (const method of ["GET", "DELETE"])
				assertInvalid(
					await client.send(method, `/v1/note/1?note_id=${note.note_id}`, { token: user.token }),
					"note_id"
				);
		});
	});

	describe("Somebody else's note", () => {
		it("is answered like one that is not there, byte for byte", async () => {
			const other = await client.newUser();
			for (const method of METHODS) {
				const [foreign, absent] = [await send(method, note.note_id, other), await send(method, 2 ** 53 - 1, other)];
				assertFailure(foreign, "absent");
				assert.equal(foreign.text, absent.text);
				assert.deepEqual(withoutTrace(foreign), withoutTrace(absent));
			}
			assert.deepEqual(assertSuccess(await send("GET", note.note_id)), note);
		});

		it("is not told from an absent one by a version or a bad change either", async () => {
			const other = await client.newUser();
			for (const json of [{ title: "x", version: 99 }, { title: "x", version: 1 }, { title: "" }, {}]) {
				const [foreign, absent] = await Promise.all(
					[note.note_id, 2 ** 53 - 1].map(id => client.send("PUT", `/v1/note/${id}`, { token: other.token, json }))
				);
				assert.equal(foreign?.text, absent?.text);
			}
		});

		it("is in no list and no search of others", async () => {
			const other = await client.newUser();
			const secret = await client.newNote(user.token, "A secret word: xyzzy", "xyzzy");
			for (const query of ["", "?search_key=xyzzy", "?limit=100", "?offset=0"]) {
				const answer = await client.send("GET", `/v1/note/query${query}`, { token: other.token });
				assert.deepEqual(assertSuccess(answer), { total: 0, notes: [], next_cursor: null });
			}
			assertSuccess(await send("DELETE", secret.note_id));
		});
	});

	describe("A deleted note", () => {
		it("is gone everywhere, also for its author", async () => {
			const gone = await client.newNote(user.token, "Deleted", "unfindable");
			const deleted = await send("DELETE", gone.note_id);
			assert.equal(assertSuccess(deleted), null);

			for (const method of METHODS) assertFailure(await send(method, gone.note_id), "absent");
			const json = { title: "x", version: 1 };
			assertFailure(await client.send("PUT", `/v1/note/${gone.note_id}`, { token: user.token, json }), "absent");
			for (const query of ["?limit=100", "?search_key=unfindable"]) {
				const answer = await client.send("GET", `/v1/note/query${query}`, { token: user.token });
				const page = assertSuccess<NotePage>(answer);
				assert.ok(page.notes.every(found => found.note_id !== gone.note_id));
				assert.equal(page.total, page.notes.length);
			}
		});

		it("is deleted by exactly one of twenty who try at once", async () => {
			const { note_id } = await client.newNote(user.token);
			const answers = await Promise.all(Array.from({ length: 20 }, () => send("DELETE", note_id)));
			const [first, ...others] = answers.sort((one, other) => one.status - other.status);
			assertSuccess(first as Answer);
			for (const answer of others) assertFailure(answer, "absent");
		});

		it("does not give its id to another", async () => {
			const { note_id } = await client.newNote(user.token);
			assertSuccess(await send("DELETE", note_id));
			assert.ok((await client.newNote(user.token)).note_id > note_id);
		});
	});
});

/** The headers but for what is different from request to request. */
function withoutTrace({ headers }: Answer) {
	const { date: _date, "x-request-id": _id, ...others } = headers;
	return others;
}
