import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { routes } from "../../services/api/routes.ts";
import { assertFailure } from "../support/answers.ts";
import { onBothShapes, useEnvironment } from "../support/app.ts";
import type { TestUser } from "../support/client.ts";

useEnvironment();

/** What a route that names a thing is sent. A new route of the kind fails here until it is attacked, too. */
const attacks: Record<string, object | undefined> = {
	"GET /v1/note/:note_id": undefined,
	"PUT /v1/note/:note_id": { title: "stolen", content: "stolen" },
	"DELETE /v1/note/:note_id": undefined
};

onBothShapes(app => {
	let victim: TestUser;
	let attacker: TestUser;
	let noteId: number;

	before(async () => {
		const { client } = app();
		[victim, attacker] = [await client.newUser(), await client.newUser()];
		const json = { title: "The victim's diary", content: "nobody else's business" };
		const created = await client.send("POST", "/v1/note", { token: victim.token, json });
		noteId = (created.body.data as { note_id: number }).note_id;
	});

	const asVictim = async () =>
		(await app().client.send("GET", `/v1/note/${noteId}`, { token: victim.token })).body.data;

	describe("API1: somebody else's note", () => {
		// Administrators' routes are no user's: test/security/functions.test.ts.
		const named = routes.filter(({ path, auth, role }) => path.includes(":") && auth && !role);
		it("is attacked on every route that names one", () => {
			assert.deepEqual(Object.keys(attacks).sort(), named.map(({ method, path }) => `${method} ${path}`).sort());
		});

		for (const { method, path } of named)
			it(`does not exist for ${method} ${path}: the answer is that for no note, and it stays as it is`, async () => {
				const json = attacks[`${method} ${path}`];
				const before = await asVictim();
				const ask = (id: number | string) =>
					app().client.send(method, path.replace(":note_id", String(id)), {
						token: attacker.token,
						...(json && { json })
					});
				const answer = await ask(noteId);
				assertFailure(answer, "absent");
				assert.equal(answer.text, (await ask(999_999)).text);
				assert.deepEqual(await asVictim(), before);
			});

		it("is named by no route without a token, but for what became of a saga, which tells no name", async () => {
			const open = routes.filter(({ path, auth }) => path.includes(":") && !auth);
			assert.deepEqual(
				open.map(({ action }) => action),
				["user.saga.outcome"]
			);
			for (const gid of ["1", "0", "%", "x".repeat(22)]) {
				const { status } = await app().client.send(
					"GET",
					(open[0]?.path ?? "").replace(":gid", encodeURIComponent(gid))
				);
				assert.ok([404, 422].includes(status), `${gid}: ${status}`);
			}
			const shown = Object.keys(open[0]?.result ?? {});
			assert.deepEqual(
				shown.filter(name => !["gid", "status", "reason"].includes(name)),
				[]
			);
		});

		it("can not be had by saying to be the victim, in any place of a request", async () => {
			const { user_id } = victim;
			const identity = JSON.stringify({ id: user_id, role: "admin" });
			const headers = {
				"X-User-ID": String(user_id),
				"X-User": identity,
				"X-Meta": identity,
				User: identity,
				From: victim.username,
				Cookie: `user=${identity}; user_id=${user_id}; jwt=${victim.token}`
			};
			const { client } = app();
			assertFailure(await client.send("GET", `/v1/note/${noteId}`, { token: attacker.token, headers }), "absent");
			for (const name of ["user_id", "user", "meta", "user.id", "user[id]", "$user", "ctx", "owner", "author_id"]) {
				const query = `${encodeURIComponent(name)}=${user_id}`;
				assertFailure(await client.send("GET", `/v1/note/${noteId}?${query}`, { token: attacker.token }), "invalid");
				assertFailure(await client.send("GET", `/v1/note/query?${query}`, { token: attacker.token }), "invalid");
				const json = { title: "a", content: "b", [name]: { id: user_id } };
				assertFailure(await client.send("POST", "/v1/note", { token: attacker.token, json }), "invalid");
				assertFailure(await client.send("PUT", `/v1/note/${noteId}`, { token: attacker.token, json }), "invalid");
			}
		});

		it("is not found by search, by paging or by the victim's cursor", async () => {
			const { client } = app();
			for (const title of ["one", "two", "three"])
				await client.send("POST", "/v1/note", { token: victim.token, json: { title, content: "more of the diary" } });
			const page = await client.send("GET", "/v1/note/query?limit=1", { token: victim.token });
			const { next_cursor } = page.body.data as { next_cursor: string };
			const wildcards = ["%", "_", "*", ".*", "' OR 1=1 --", '" OR ""="', "\\", "diary"];
			const searches = wildcards.map(key => `search_key=${encodeURIComponent(key)}`);
			for (const search of ["limit=100", `cursor=${next_cursor}`, "offset=0&limit=100", ...searches]) {
				const { status, body } = await client.send("GET", `/v1/note/query?${search}`, { token: attacker.token });
				assert.equal(status, 200);
				assert.deepEqual(body.data, { total: 0, notes: [], next_cursor: null }, search);
			}
		});

		it("can not be reached by other spellings of its id", async () => {
			const spellings = [
				`0${noteId}`,
				`${noteId}.0`,
				`+${noteId}`,
				`%20${noteId}`,
				`${noteId}%00`,
				`${noteId},1`,
				`${noteId}%2f..`,
				`${noteId}%20OR%201=1`
			];
			for (const id of spellings) {
				const { status } = await app().client.send("GET", `/v1/note/${id}`, { token: attacker.token });
				assert.equal(status, 422, id);
			}
		});
	});

	describe("API1, on the broker: a note action", () => {
		const actions = {
			"note.create": { title: "a", content: "b" },
			"note.query": {},
			"note.get": { note_id: 1 },
			"note.update": { note_id: 1, title: "a" },
			"note.remove": { note_id: 1 }
		};
		const as = ({ user_id }: TestUser) => ({ meta: { user: { id: user_id, role: "user", session_id: "s" } } });

		for (const [action, params] of Object.entries(actions)) {
			it(`${action} serves nobody without an identity`, async () => {
				await assert.rejects(app().broker.call(action, params), { code: 401, type: "UNAUTHENTICATED" });
			});
			it(`${action} takes no other user from its parameters`, async () => {
				for (const name of ["user_id", "user", "meta", "owner_id"]) {
					const forged = { ...params, [name]: victim.user_id };
					await assert.rejects(app().broker.call(action, forged, as(attacker)), {
						code: 422,
						type: "VALIDATION_ERROR"
					});
				}
			});
		}

		it("note.get, update and remove treat somebody else's note as none", async () => {
			const calls: [string, object][] = [
				["note.get", { note_id: noteId }],
				["note.update", { note_id: noteId, title: "stolen" }],
				["note.remove", { note_id: noteId }]
			];
			for (const [action, params] of calls)
				await assert.rejects(app().broker.call(action, params, as(attacker)), { code: 404, type: "NOTE_NOT_FOUND" });
			assert.equal(((await asVictim()) as { title: string }).title, "The victim's diary");
		});
	});
});
