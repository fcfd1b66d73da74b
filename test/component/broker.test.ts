import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { CallingOptions } from "moleculer";
import { call } from "../../lib/call.ts";
import type { FieldError } from "../../lib/errors.ts";
import type { Identity, Meta } from "../../lib/identity.ts";
import { routes } from "../../services/api/routes.ts";
import type { Note } from "../../services/note/note.contract.ts";
import { onBothShapes, useEnvironment } from "../support/app.ts";
import type { TestUser } from "../support/client.ts";
import { until } from "../support/until.ts";

useEnvironment();

const as = (user: TestUser): { meta: Meta } => ({
	meta: { user: { id: user.user_id, role: "user", session_id: user.refresh_token.split(".")[0] } as Identity }
});

onBothShapes(app => {
	let ann: TestUser;
	let bob: TestUser;
	let note: Note;
	before(async () => {
		ann = await app().client.newUser(`ann-${app().broker.nodeID}`);
		bob = await app().client.newUser(`bob-${app().broker.nodeID}`);
		note = await call(app().broker, "note.create", { title: "A title", content: "Some content" }, as(ann));
	});

	/** Calls an action that the contracts do not declare, or with parameters that they do not allow. */
	const callLoosely = (action: string, params?: object, options?: CallingOptions): Promise<unknown> =>
		app().broker.call(action, params, options);
	const rejects = (promise: Promise<unknown>, code: number, type: string) => assert.rejects(promise, { code, type });
	const refuses = (promise: Promise<unknown>, ...fields: string[]) =>
		assert.rejects(promise, ({ code, type, data }: { code: number; type: string; data: FieldError[] }) => {
			assert.deepEqual([code, type, data.map(error => error.field)], [422, "VALIDATION_ERROR", fields]);
			return true;
		});

	describe("The note service", () => {
		it("keeps the notes of two users apart", async () => {
			const { broker } = app();
			const { note_id } = note;
			assert.deepEqual(await call(broker, "note.get", { note_id }, as(ann)), note);
			await rejects(call(broker, "note.get", { note_id }, as(bob)), 404, "NOTE_NOT_FOUND");
			await rejects(call(broker, "note.update", { note_id, title: "Bob's" }, as(bob)), 404, "NOTE_NOT_FOUND");
			await rejects(call(broker, "note.remove", { note_id }, as(bob)), 404, "NOTE_NOT_FOUND");
			assert.equal((await call(broker, "note.query", {}, as(bob))).total, 0);
			assert.equal((await call(broker, "note.query", {}, as(ann))).total, 1);
			const own = await call(broker, "note.create", { title: "Bob's", content: "x" }, as(bob));
			assert.deepEqual([own.user_id, own.username], [bob.user_id, bob.username]);
		});

		it("answers a stale version by type and with the one that is good", async () => {
			const { broker } = app();
			const { note_id } = await call(broker, "note.create", { title: "a", content: "b" }, as(ann));
			await call(broker, "note.update", { note_id, title: "c", version: 1 }, as(ann));
			await assert.rejects(call(broker, "note.update", { note_id, title: "d", version: 1 }, as(ann)), {
				code: 409,
				type: "NOTE_VERSION_CONFLICT",
				data: { version: 2 }
			});
			assert.equal(await call(broker, "note.remove", { note_id }, as(ann)), null);
			await rejects(call(broker, "note.update", { note_id, title: "e", version: 2 }, as(ann)), 404, "NOTE_NOT_FOUND");
		});

		it("answers UNAUTHENTICATED to a call without a user", async () => {
			const { broker } = app();
			const { note_id } = note;
			for (const meta of [undefined, { user: null }, {}]) {
				const options = meta ? { meta } : undefined;
				await rejects(call(broker, "note.create", { title: "a", content: "b" }, options), 401, "UNAUTHENTICATED");
				await rejects(call(broker, "note.query", {}, options), 401, "UNAUTHENTICATED");
				await rejects(call(broker, "note.get", { note_id }, options), 401, "UNAUTHENTICATED");
				await rejects(call(broker, "note.update", { note_id, title: "x" }, options), 401, "UNAUTHENTICATED");
				await rejects(call(broker, "note.remove", { note_id }, options), 401, "UNAUTHENTICATED");
			}
		});

		it("checks parameters of calls as of requests", async () => {
			for (const note_id of ["1", [1], true, null, 0, 1.5, 2 ** 53])
				await refuses(callLoosely("note.get", { note_id }, as(ann)), "note_id");
			await refuses(callLoosely("note.create", { title: "a", content: "b", user_id: 1 }, as(bob)), "user_id");
			await refuses(callLoosely("note.query", { limit: "5" }, as(ann)), "limit");
			for (const note_ids of [[], [0], ["1"], "1", Array.from({ length: 1001 }, (_, i) => i + 1)])
				await assert.rejects(callLoosely("note.mget", { note_ids }), { code: 422 });
		});

		it("gives many notes in one call, with their authors, but no deleted one", async () => {
			const { broker } = app();
			const deleted = await call(broker, "note.create", { title: "a", content: "b" }, as(ann));
			const others = await call(broker, "note.create", { title: "c", content: "d" }, as(bob));
			await call(broker, "note.remove", { note_id: deleted.note_id }, as(ann));
			const note_ids = [others.note_id, deleted.note_id, note.note_id, 2 ** 53 - 1, note.note_id];
			assert.deepEqual(await call(broker, "note.mget", { note_ids }), [note, others]);
		});

		it("offers the generic reads to nodes, without deleted notes and folded copies", async () => {
			const deleted = await call(app().broker, "note.create", { title: "a", content: "deleted" }, as(bob));
			await call(app().broker, "note.remove", { note_id: deleted.note_id }, as(bob));
			const query = { user_id: bob.user_id };
			const found = (await callLoosely("note.find", { query })) as object[];
			assert.equal(await callLoosely("note.count", { query }), found.length);
			const { rows, total } = (await callLoosely("note.list", { query })) as { rows: object[]; total: number };
			assert.deepEqual([rows, total], [found, found.length]);
			const fields = ["id", "user_id", "title", "content", "version", "created_at", "updated_at"];
			for (const row of found) assert.deepEqual(Object.keys(row).sort(), fields.sort());
			assert.ok(found.every(row => (row as { content: string }).content !== "deleted"));
			await refuses(callLoosely("note.find", { query: { deleted_at: null } }), "query");
		});

		it("has no generic write that would pass by its rules", async () => {
			await rejects(callLoosely("note.insert", { entity: { user_id: 1, title: "x" } }), 404, "SERVICE_NOT_FOUND");
			await refuses(callLoosely("note.update", { id: note.note_id, title: "x" }, as(bob)), "note_id", "id");
			await refuses(callLoosely("note.remove", { id: note.note_id }, as(bob)), "note_id", "id");
			await refuses(callLoosely("note.get", { id: note.note_id }, as(bob)), "note_id", "id");
		});
	});

	describe("The user service", () => {
		it("answers UNAUTHENTICATED to a call without a user where it needs one", async () => {
			const { broker } = app();
			const passwords = { old_password: ann.password, new_password: "another horse" };
			await rejects(call(broker, "user.me"), 401, "UNAUTHENTICATED");
			await rejects(call(broker, "user.logout"), 401, "UNAUTHENTICATED");
			await rejects(call(broker, "user.changePassword", passwords), 401, "UNAUTHENTICATED");
		});

		it("tells each caller who they are", async () => {
			for (const { user_id, username, ...user } of [ann, bob]) {
				const me = await call(app().broker, "user.me", undefined, as({ user_id, username, ...user }));
				assert.deepEqual(me, { user_id, username, avatar: "" });
			}
		});

		it("checks credentials without opening a session", async () => {
			const { username, password, user_id } = ann;
			assert.deepEqual(await call(app().broker, "user.check", { username, password }), { user_id });
			await rejects(call(app().broker, "user.check", { username, password: "wrong" }), 401, "WRONG_CREDENTIALS");
			await rejects(call(app().broker, "user.check", { username: "nobody", password }), 401, "WRONG_CREDENTIALS");
		});

		it("gives many users in one call, and leaves out who is not there", async () => {
			const users = await call(app().broker, "user.mget", { user_ids: [bob.user_id, 2 ** 53 - 1, ann.user_id] });
			assert.deepEqual(
				users,
				[ann, bob].map(({ user_id, username }) => ({ user_id, username, avatar: "" }))
			);
		});

		it("has no generic write", async () => {
			const writes: Record<string, object> = {
				create: { username: "x", username_key: "x", password_hash: "x" },
				insert: { entity: { username: "x", username_key: "x", password_hash: "x" } },
				update: { id: ann.user_id, role: "admin" },
				remove: { id: ann.user_id }
			};
			for (const [name, params] of Object.entries(writes))
				await rejects(callLoosely(`user.${name}`, params, as(ann)), 404, "SERVICE_NOT_FOUND");
		});

		const PUBLIC = ["avatar", "id", "username"];
		const reads: Record<string, (params?: object) => Promise<unknown>> = {
			find: params => callLoosely("user.find", { query: { username: ann.username }, ...params }),
			list: async params =>
				((await callLoosely("user.list", { query: { username: ann.username }, ...params })) as { rows: object[] }).rows,
			get: async params => [await callLoosely("user.get", { id: ann.user_id, ...params })]
		};
		for (const [name, read] of Object.entries(reads))
			it(`shows id, name and avatar by ${name}, whatever is asked for`, async () => {
				assert.deepEqual(await read(), [{ id: ann.user_id, username: ann.username, avatar: "" }]);
				for (const fields of [["password_hash"], "password_hash", ["id", "password_hash"], ["*"], "username role"]) {
					const [row] = (await read({ fields })) as [object];
					assert.ok(
						Object.keys(row).every(column => PUBLIC.includes(column)),
						JSON.stringify(row)
					);
				}
				for (const params of [{ excludeFields: [] }, { mapping: true }, { populate: ["password_hash"] }])
					assert.doesNotMatch(JSON.stringify(await read(params)), /argon2|password|role/);
			});

		const peeks: [what: string, params: object, field: string][] = [
			["query", { query: { password_hash: "x" } }, "query"],
			["query as JSON", { query: JSON.stringify({ password_hash: "x" }) }, "query"],
			["query by role", { query: { role: "admin" } }, "query"],
			["query by key", { query: { username_key: "x" } }, "query"],
			["query with another table's name", { query: { "$user.password_hash$": "x" } }, "query"],
			["query among others", { query: { username: "x", password_hash: "y" } }, "query"],
			["sort", { sort: "password_hash" }, "sort"],
			["sort downwards", { sort: "-password_hash" }, "sort"],
			["sort among others", { sort: "username,-password_hash" }, "sort"],
			["sort with SQL in it", { sort: "id; DROP TABLE users" }, "sort"],
			["search", { search: "argon2", searchFields: ["password_hash"] }, "searchFields"],
			["search among others", { search: "argon2", searchFields: "username,password_hash" }, "searchFields"]
		];
		for (const [what, params, field] of peeks)
			it(`does not let others look at hidden columns by ${what}`, async () => {
				for (const action of ["user.find", "user.list", "user.count"]) {
					// list takes no query or sort of other kinds than its own rules allow.
					await assert.rejects(callLoosely(action, params), (error: { code: number; data: FieldError[] }) => {
						assert.equal(error.code, 422, `${action} ${JSON.stringify(error)}`);
						assert.ok(
							error.data.some(rule => rule.field.startsWith(field)),
							JSON.stringify(error.data)
						);
						return true;
					});
				}
			});

		it("ends every login with a change of role, and refuses a role that there is not", async () => {
			const carl = await app().client.newUser();
			await call(app().broker, "user.setRole", { user_id: carl.user_id, role: "admin" });
			const { refresh_token } = carl;
			await rejects(call(app().broker, "user.refresh", { refresh_token }), 401, "REFRESH_REFUSED");
			await until(
				"the session has ended",
				async () => (await app().client.send("GET", "/v1/user/me", { token: carl.token })).status === 401
			);
			await refuses(callLoosely("user.setRole", { user_id: carl.user_id, role: "root" }), "role");
			await rejects(call(app().broker, "user.setRole", { user_id: 2 ** 53 - 1, role: "admin" }), 404, "USER_NOT_FOUND");
		});

		it("names the sessions that ended lately, and no others", async () => {
			const carl = await app().client.newUser();
			const id = carl.refresh_token.split(".")[0] as string;
			const ended = () => call(app().broker, "user.revokedSessions", { seconds: 60 });
			assert.ok(!(await ended()).includes(id));
			await call(app().broker, "user.logout", undefined, as(carl));
			assert.ok((await ended()).includes(id));
		});
	});

	describe("The services", () => {
		it("say that they are ready while their databases answer", async () => {
			assert.equal(await call(app().broker, "user.ready"), true);
			assert.equal(await call(app().broker, "note.ready"), true);
		});

		it("publish what the route table leads to, and nothing more", () => {
			const published = app()
				.worker.registry.actions.list({ withEndpoints: false, skipInternal: true })
				.filter(
					({ action }: { action?: { visibility?: string } }) => (action?.visibility ?? "published") === "published"
				)
				.map(({ name }: { name: string }) => name)
				.filter((name: string) => !name.startsWith("api."));
			const routed = new Set(routes.map(({ action }) => action).filter(action => !action.startsWith("api.")));
			assert.deepEqual(published.sort(), [...routed].sort());
		});
	});
});
