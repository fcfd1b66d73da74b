import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Note, NotePage } from "../../../services/note/note.contract.ts";
import { noteCursors } from "../../../services/note/note.domain.ts";
import { assertFailure, assertInvalid, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Client, TestUser } from "../../support/client.ts";
import { legalTexts } from "../../support/texts.ts";

useEnvironment();

const COUNT = 25;

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	/** The user's notes, newest first. */
	let notes: Note[];
	before(async () => {
		client = app().client;
		user = await client.newUser();
		notes = [];
		for (let i = 0; i < COUNT; i++) notes.unshift(await client.newNote(user.token, `Note ${i}`, `Content ${i}`));
		const other = await client.newUser();
		await client.newNote(other.token, "Note of another", "Content 1");
	});

	const ask = (query: string) => client.send("GET", `/v1/note/query${query}`, { token: user.token });
	const page = async (query: string) => assertSuccess<NotePage>(await ask(query));
	const ids = (list: readonly Note[]) => list.map(note => note.note_id);

	describe("A page of notes", () => {
		it("holds the ten newest by default, the number of all, and where to go on", async () => {
			const { total, notes: found, next_cursor, ...rest } = await page("");
			assert.deepEqual(found, notes.slice(0, 10));
			assert.deepEqual([total, rest], [COUNT, {}]);
			assert.equal(typeof next_cursor, "string");
		});

		const slices: [query: string, from: number, to: number][] = [
			["?limit=1", 0, 1],
			["?limit=25", 0, 25],
			["?limit=100", 0, 25],
			["?offset=0", 0, 10],
			["?offset=24", 24, 25],
			["?offset=25", 25, 25],
			["?offset=9007199254740991", 25, 25],
			["?offset=3&limit=4", 3, 7],
			["?limit=%34&offset=%33", 3, 7],
			["?&&limit=2&", 0, 2],
			["?", 0, 10]
		];
		for (const [query, from, to] of slices)
			it(`is cut as asked: ${query}`, async () => {
				const { notes: found, total, next_cursor } = await page(query);
				assert.deepEqual(ids(found), ids(notes.slice(from, to)));
				assert.equal(total, COUNT);
				assert.equal(next_cursor === null, to >= COUNT);
			});

		it("is the same by cursor as by offset, to the end", async () => {
			let query = "?limit=7";
			const found: Note[] = [];
			for (let pages = 1; ; pages++) {
				const { notes: more, next_cursor } = await page(query);
				found.push(...more);
				if (next_cursor === null) {
					assert.equal(pages, Math.ceil(COUNT / 7));
					break;
				}
				query = `?limit=7&cursor=${next_cursor}`;
			}
			assert.deepEqual(found, notes);
		});

		it("has no next one when the last note is on it", async () => {
			assert.equal((await page("?limit=25")).next_cursor, null);
			assert.equal((await page("?limit=5&offset=20")).next_cursor, null);
		});

		it("is empty for a user without notes", async () => {
			const { token } = await client.newUser();
			const empty = await client.send("GET", "/v1/note/query", { token });
			assert.deepEqual(assertSuccess(empty), { total: 0, notes: [], next_cursor: null });
		});

		it("after a cursor of another user holds no note of theirs", async () => {
			const other = await client.newUser();
			await client.newNote(other.token);
			const cursor = noteCursors.after({ id: Number.MAX_SAFE_INTEGER });
			const found = assertSuccess<NotePage>(await ask(`?limit=100&cursor=${cursor}`));
			assert.deepEqual(ids(found.notes), ids(notes));
		});
	});

	describe("A query", () => {
		const invalid: [query: string, ...fields: string[]][] = [
			["limit=0", "limit"],
			["limit=101", "limit"],
			["limit=-1", "limit"],
			["limit=1.5", "limit"],
			["limit=1e1", "limit"],
			["limit=1e3", "limit"],
			["limit=1e999", "limit"],
			["limit=0x10", "limit"],
			["limit=010", "limit"],
			["limit=+5", "limit"],
			["limit=%205", "limit"],
			["limit=5%00", "limit"],
			["limit=NaN", "limit"],
			["limit=Infinity", "limit"],
			["limit=null", "limit"],
			["limit=true", "limit"],
			["limit=", "limit"],
			["limit", "limit"],
			["limit=abc", "limit"],
			["limit=10%3B+drop", "limit"],
			["limit=5&limit=5", "limit"],
			["limit[]=5", "limit[]"],
			["offset=-1", "offset"],
			["offset=1.5", "offset"],
			["offset=1e999", "offset"],
			["offset=9007199254740992", "offset"],
			["offset=", "offset"],
			["offset=a&limit=b", "offset", "limit"],
			["search_key=", "search_key"],
			["search_key", "search_key"],
			["search_key=%00", "search_key"],
			["search_key=a%0Ab", "search_key"],
			[`search_key=${"x".repeat(129)}`, "search_key"],
			[`search_key=${encodeURIComponent("👍".repeat(129))}`, "search_key"],
			["search_key=a&search_key=b", "search_key"],
			["search_key[x]=a", "search_key[x]"],
			["cursor=", "cursor"],
			["cursor=abc", "cursor"],
			["cursor=1", "cursor"],
			[`cursor=${"a".repeat(65)}`, "cursor"],
			[`cursor=${noteCursors.after({ id: 7 })}&cursor=${noteCursors.after({ id: 7 })}`, "cursor"],
			[`cursor=${noteCursors.after({ id: 7 })}=`, "cursor"],
			[`cursor=${noteCursors.after({ id: 0 })}`, "cursor"],
			[`cursor=${noteCursors.after({ id: -7 })}`, "cursor"],
			[`cursor=${noteCursors.after({ id: 1.5 })}`, "cursor"],
			[`cursor=${noteCursors.after({ id: 2 ** 53 })}`, "cursor"],
			[`cursor=${Buffer.from("n1 OR 1=1").toString("base64url")}`, "cursor"],
			[`cursor=${noteCursors.after({ id: 7 })}&offset=0`, "offset"],
			[`cursor=${noteCursors.after({ id: 7 })}&offset=3`, "offset"],
			["order=asc", "order"],
			["user_id=1", "user_id"],
			["deleted=true", "deleted"],
			["Limit=5", "Limit"],
			["=1", ""],
			["__proto__[limit]=1", "__proto__[limit]"],
			["$$strict=false", "$$strict"]
		];
		for (const [query, ...fields] of invalid)
			it(`?${query.slice(0, 60)} is refused by field`, async () => {
				assertInvalid(await ask(`?${query}`), ...fields);
			});

		for (const query of [
			"search_key=%ff",
			"search_key=%",
			"search_key=100%",
			"search_key=%ED%A0%80",
			"%ff=1",
			"limit=%zz"
		])
			it(`?${query} is refused as a whole: it is not percent-encoded UTF-8`, async () => {
				assertFailure(await ask(`?${query}`), "unreadable");
			});
	});

	describe("A search", () => {
		const search = async (key: string) => (await page(`?limit=100&search_key=${encodeURIComponent(key)}`)).notes;

		for (const [what, text] of Object.entries(legalTexts))
			it(`finds ${what} in title and content, and nothing else`, async () => {
				const inTitle = await client.newNote(user.token, `<<${text}>>`, "x");
				const inContent = await client.newNote(user.token, "x", `<<${text}>>`);
				const found = ids(await search(`<${text}>`));
				for (const note of [inTitle, inContent])
					assertSuccess(await client.send("DELETE", `/v1/note/${note.note_id}`, { token: user.token }));
				assert.deepEqual(found, [inContent.note_id, inTitle.note_id]);
			});

		for (const key of [
			"%",
			"_",
			"\\",
			"\\%",
			"%%",
			"Note_1",
			"Note%",
			"*",
			".",
			"' OR '1'='1",
			'" OR 1=1 --',
			"[N]ote",
			"?",
			":key"
		])
			it(`takes ${key} literally`, async () => {
				assert.deepEqual(await search(key), []);
			});

		it("does not tell case from case, and tells accents", async () => {
			const { note_id } = await client.newNote(user.token, "École ΟΔΟΣΑΡΑ", "x");
			for (const key of ["ÉCOLE", "école", "e\u0301COLE", "οδος", "ΟΔΟΣ", "οδοσαρα", "Σ"])
				assert.deepEqual(ids(await search(key)), [note_id], key);
			assert.deepEqual(await search("ecole"), []);
			assertSuccess(await client.send("DELETE", `/v1/note/${note_id}`, { token: user.token }));
		});

		it("counts and pages what it found only, newest first", async () => {
			const expected = notes.filter(note => /1/.test(note.title + note.content));
			const first = await page("?search_key=1&limit=5");
			assert.deepEqual([first.total, ids(first.notes)], [expected.length, ids(expected.slice(0, 5))]);
			const second = await page(`?search_key=1&limit=100&cursor=${first.next_cursor}`);
			assert.deepEqual([second.total, ids(second.notes)], [expected.length, ids(expected.slice(5))]);
		});

		it("may be 128 characters long, blanks and all", async () => {
			const key = ` ${"👍".repeat(126)} `;
			const { note_id } = await client.newNote(user.token, "x", `-${key}-`);
			assert.deepEqual(ids(await search(key)), [note_id]);
			assertSuccess(await client.send("DELETE", `/v1/note/${note_id}`, { token: user.token }));
		});

		it("finds a changed note by its new text only", async () => {
			const { note_id } = await client.newNote(user.token, "x", "yesterday");
			const json = { content: "tomorrow" };
			assertSuccess(await client.send("PUT", `/v1/note/${note_id}`, { token: user.token, json }));
			assert.deepEqual(await search("yesterday"), []);
			assert.deepEqual(ids(await search("tomorrow")), [note_id]);
		});
	});

	it("an empty page after a cursor says how many notes there are", async () => {
		const { token } = await client.newUser();
		const oldest: Note = await client.newNote(token);
		await client.newNote(token);
		const pageOf = async (query: string) =>
			assertSuccess<NotePage>(await client.send("GET", `/v1/note/query?limit=1${query}`, { token }));
		const { next_cursor } = await pageOf("");
		assertSuccess(await client.send("DELETE", `/v1/note/${oldest.note_id}`, { token }));
		const { notes, total } = await pageOf(`&cursor=${next_cursor}`);
		assert.deepEqual([notes, total], [[], 1]);
	});
});
