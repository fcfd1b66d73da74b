import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Note, NotePage } from "../../../services/note/note.contract.ts";
import { assertFailure, assertSuccess } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, Client, TestUser } from "../../support/client.ts";
import { raceForName } from "../../support/races.ts";

useEnvironment();

const times = <T>(count: number, work: (i: number) => Promise<T>) =>
	Promise.all(Array.from({ length: count }, (_, i) => work(i)));

onBothShapes(app => {
	let client: Client;
	let user: TestUser;
	before(async () => {
		client = app().client;
		user = await client.newUser();
	});
	const update = (id: number, json: object) => client.send("PUT", `/v1/note/${id}`, { token: user.token, json });
	const read = async (id: number) =>
		assertSuccess<Note>(await client.send("GET", `/v1/note/${id}`, { token: user.token }));

	describe("Twenty registrations of one name at once", () => {
		it("in twenty spellings have one winner", async () => {
			for (let round = 0; round < 2; round++) await raceForName([client], `${app().broker.nodeID} ${round}`);
		});
	});

	describe("Twenty changes of one note at once", () => {
		it("of the same version have one winner, whose text stays", async () => {
			for (let round = 0; round < 3; round++) {
				const { note_id } = await client.newNote(user.token);
				const answers = await times(20, i => update(note_id, { title: `Title ${i}`, version: 1 }));
				const winner = answers.findIndex(answer => answer.status === 200);
				for (const [i, answer] of answers.entries())
					if (i === winner) assert.equal(assertSuccess<Note>(answer).title, `Title ${i}`);
					else {
						assertFailure(answer, "stale");
						assert.deepEqual(answer.body.data, { version: 2 });
					}
				const { title, version } = await read(note_id);
				assert.deepEqual([title, version], [`Title ${winner}`, 2]);
			}
		});

		it("without a version are all made: the version counts them", async () => {
			const { note_id } = await client.newNote(user.token);
			const answers = await times(20, i => update(note_id, { content: `Content ${i}` }));
			for (const answer of answers) assertSuccess(answer);
			assert.equal((await read(note_id)).version, 21);
		});

		it("of different fields without a version lose nothing", async () => {
			const { note_id } = await client.newNote(user.token);
			await Promise.all([update(note_id, { title: "New title" }), update(note_id, { content: "New content" })]);
			const { title, content, version } = await read(note_id);
			assert.deepEqual([title, content, version], ["New title", "New content", 3]);
		});

		it("by a client that reads and tries again are all made, one after the other", async () => {
			const { note_id } = await client.newNote(user.token, "0");
			await times(8, async () => {
				for (;;) {
					const { title, version } = await read(note_id);
					const answer = await update(note_id, { title: String(Number(title) + 1), version });
					if (answer.status === 200) return;
					assertFailure(answer, "stale");
				}
			});
			const { title, version } = await read(note_id);
			assert.deepEqual([title, version], ["8", 9]);
		});

		it("and a delete end with the note gone", async () => {
			const { note_id } = await client.newNote(user.token);
			const remove = () => client.send("DELETE", `/v1/note/${note_id}`, { token: user.token });
			const [removed, ...updates] = await Promise.all([
				remove(),
				...Array.from({ length: 10 }, () => update(note_id, { title: "x" }))
			]);
			assertSuccess(removed as Answer);
			for (const answer of updates) assert.ok([200, 404].includes(answer.status), answer.text);
			assertFailure(await client.send("GET", `/v1/note/${note_id}`, { token: user.token }), "absent");
		});
	});

	describe("Pages by cursor", () => {
		it("neither repeat nor skip a note while others are written and deleted", async () => {
			const { token } = await client.newUser();
			const written: Note[] = [];
			for (let i = 0; i < 40; i++) written.unshift(await client.newNote(token, `Note ${i}`));
			const doomed = written[30] as Note;

			const seen: number[] = [];
			let query = "?limit=7";
			for (let more: string | null = ""; more !== null; query = `?limit=7&cursor=${more}`) {
				const [answer] = await Promise.all([
					client.send("GET", `/v1/note/query${query}`, { token }),
					client.newNote(token, "Written meanwhile"),
					client.newNote(token, "Written meanwhile"),
					client.send("DELETE", `/v1/note/${doomed.note_id}`, { token })
				]);
				const page = assertSuccess<NotePage>(answer);
				seen.push(...page.notes.filter(note => note.title !== "Written meanwhile").map(note => note.note_id));
				more = page.next_cursor;
			}
			const expected = written.filter(note => note !== doomed).map(note => note.note_id);
			assert.deepEqual(seen, expected);
		});

		it("by offset would repeat: a cursor is what lists that change are for", async () => {
			const { token } = await client.newUser();
			for (let i = 0; i < 4; i++) await client.newNote(token, `Note ${i}`);
			const first = assertSuccess<NotePage>(await client.send("GET", "/v1/note/query?limit=2", { token }));
			await client.newNote(token, "Newer");
			const titles = async (query: string) =>
				assertSuccess<NotePage>(await client.send("GET", `/v1/note/query?limit=2${query}`, { token })).notes.map(
					note => note.title
				);
			assert.deepEqual(await titles("&offset=2"), ["Note 2", "Note 1"]);
			assert.deepEqual(await titles(`&cursor=${first.next_cursor}`), ["Note 1", "Note 0"]);
		});
	});
});
