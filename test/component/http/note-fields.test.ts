import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Note } from "../../../services/note/note.contract.ts";
import { assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Client, TestUser } from "../../support/client.ts";
import { controls, legalTexts, loneSurrogates, notTexts } from "../../support/texts.ts";

useEnvironment();

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	let note: Note;
	before(async () => {
		client = app().client;
		user = await client.newUser();
		note = await client.newNote(user.token);
	});

	const create = (json: unknown) => client.send("POST", "/v1/note", { token: user.token, json });
	const change = (json: unknown) => client.send("PUT", `/v1/note/${note.note_id}`, { token: user.token, json });
	const read = async (id: number) =>
		assertSuccess<Note>(await client.send("GET", `/v1/note/${id}`, { token: user.token }));

	const good = { title: "A title", content: "Some content" };
	/** Asserts that a value of a field is refused, alone and beside good ones, when writing and when changing. */
	async function assertRefused(field: "title" | "content", value: unknown): Promise<void> {
		assertInvalid(await create({ ...good, [field]: value }), field);
		assertInvalid(await change({ ...good, [field]: value }), field);
		assertInvalid(await change({ [field]: value }), field);
	}

	for (const field of ["title", "content"] as const)
		describe(`A note's ${field}`, () => {
			for (const value of notTexts)
				it(`may not be ${JSON.stringify(value)}`, async () => {
					await assertRefused(field, value);
				});
			for (const [what, text] of Object.entries({ ...controls, ...loneSurrogates }))
				it(`may not hold ${what}`, async () => {
					await assertRefused(field, `a${text}b`);
				});
			it("may not be empty, and must be there", async () => {
				await assertRefused(field, "");
				assertInvalid(await create({ ...good, [field]: undefined }), field);
			});

			for (const [what, text] of Object.entries({ ...legalTexts, "a blank": " ", "blanks around": "\u00a0 a " }))
				it(`may be ${what}, and comes back as it was sent`, async () => {
					const { note_id } = assertSuccess<Note>(await create({ ...good, [field]: text }), 201);
					assert.equal((await read(note_id))[field], text);
					assert.equal(assertSuccess<Note>(await change({ [field]: text }))[field], text);
					assert.equal((await read(note.note_id))[field], text);
				});
		});

	describe("A note's title", () => {
		for (const breaking of ["\n", "\r", "\t"])
			it(`is one line: no ${JSON.stringify(breaking)}`, async () => {
				await assertRefused("title", `a${breaking}b`);
			});
		for (const letter of ["x", "é", "汉", "👍", "İ"])
			it(`has 128 characters at most: ${letter}`, async () => {
				const title = letter.repeat(128);
				const { note_id } = assertSuccess<Note>(await create({ ...good, title }), 201);
				assert.equal((await read(note_id)).title, title);
				await assertRefused("title", `${title}${letter}`);
			});
	});

	describe("A note's content", () => {
		it("may have lines and tabs", async () => {
			const content = "one\n\ttwo\r\nthree\rfour\n";
			const { note_id } = assertSuccess<Note>(await create({ ...good, content }), 201);
			assert.equal((await read(note_id)).content, content);
		});
		for (const letter of ["x", "é", "汉", "👍", "İ", "\n"])
			it(`has 65 535 bytes at most: ${JSON.stringify(letter)}`, async () => {
				const content = letter.repeat(Math.floor(65_535 / Buffer.byteLength(letter))).padEnd(1);
				const longest = content + "x".repeat(65_535 - Buffer.byteLength(content));
				const { note_id } = assertSuccess<Note>(await create({ ...good, content: longest }), 201);
				assert.equal((await read(note_id)).content, longest);
				await assertRefused("content", `${longest}x`);
			});
		it("may be escaped in full as JSON allows", async () => {
			const content = "é".repeat(32_767);
			const raw = JSON.stringify({ ...good, content }).replace(/é/g, "\\u00e9");
			const headers = { "Content-Type": "application/json" };
			const created = await client.send("POST", "/v1/note", { token: user.token, raw, headers });
			assert.equal(assertSuccess<Note>(created, 201).content, content);
		});
		it("that is huge is refused", async () => {
			await assertRefused("content", "x".repeat(400_000));
		});
	});

	describe("A note", () => {
		it("belongs to whom the token says: owner, id and times are not taken from a body", async () => {
			for (const [field, value] of Object.entries({
				user_id: 1,
				note_id: 1,
				id: 1,
				version: 1,
				username: "x",
				user_avatar: "x",
				create_time: 1,
				update_time: 1,
				created_at: "2020-01-01",
				deleted_at: null,
				title_folded: "x"
			}))
				assertInvalid(await create({ ...good, [field]: value }), field);
			for (const field of ["user_id", "note_id", "id", "username", "create_time", "deleted_at", "content_folded"])
				assertInvalid(await change({ ...good, [field]: 1 }), field);
		});

		it("names every broken rule in one answer", async () => {
			const answer = await create({ title: "", content: 5, user_id: 1, other: "x" });
			assertInvalid(answer, "title", "content", "user_id", "other");
		});

		it("needs something to change", async () => {
			assertInvalid(await change({}), "title");
			assertInvalid(await change({ version: note.version }), "title");
		});

		it("shows its fields, times in whole seconds and its author", async () => {
			const before = Math.floor(Date.now() / 1000);
			const created = assertSuccess<Note>(await create(good), 201);
			const { note_id, create_time, update_time, ...rest } = created;
			const { user_id, username } = user;
			assert.deepEqual(rest, { user_id, username, user_avatar: "", ...good, version: 1 });
			assert.ok(Number.isInteger(note_id) && note_id > 0);
			assert.ok(Number.isInteger(create_time) && create_time >= before && create_time <= Date.now() / 1000);
			assert.equal(update_time, create_time);
			assert.deepEqual(await read(note_id), created);
		});

		it("keeps the field that a change leaves out, and counts versions", async () => {
			const created = assertSuccess<Note>(await create(good), 201);
			const send = (json: object) => client.send("PUT", `/v1/note/${created.note_id}`, { token: user.token, json });
			const { update_time, ...changed } = assertSuccess<Note>(await send({ title: "New" }));
			const { update_time: _, ...expected } = { ...created, title: "New", version: 2 };
			assert.deepEqual(changed, expected);
			assert.ok(update_time >= created.update_time);
			assert.equal(assertSuccess<Note>(await send({ content: "New", version: 2 })).version, 3);
		});
	});

	describe("A version", () => {
		const refused = [null, 0, -1, 1.5, "1", true, [], [1], {}, 2 ** 53, 1e21];
		for (const version of refused)
			it(`may not be ${JSON.stringify(version)}`, async () => {
				assertInvalid(await change({ title: "x", version }), "version");
			});
		for (const version of ["1e999", "-1e999", '"1; drop"'])
			it(`may not be ${version}`, async () => {
				const raw = `{"title":"x","version":${version}}`;
				const headers = { "Content-Type": "application/json" };
				assertInvalid(
					await client.send("PUT", `/v1/note/${note.note_id}`, { token: user.token, raw, headers }),
					"version"
				);
			});
	});
});
