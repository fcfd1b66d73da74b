import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { type Model, type ModelStatic, UniqueConstraintError } from "sequelize";
import { acquire, type SharedConnection } from "../../../mixins/db/connection.ts";
import { migrate } from "../../../models/migrator.ts";
import { type NoteCreation, type NoteRow, noteModel } from "../../../models/note.model.ts";
import { type SessionCreation, type SessionRow, sessionModel } from "../../../models/session.model.ts";
import { type UserCreation, type UserRow, userModel } from "../../../models/user.model.ts";
import { onEachDatabase } from "../../support/databases.ts";

const ANYTHING = "ÄÖ 'x' \\ % _ \0 İstanbul 😀👨‍👩‍👧";

await onEachDatabase("The models", databases => {
	const connections: SharedConnection[] = [];
	let users: ModelStatic<Model<UserRow, UserCreation>>;
	let sessions: ModelStatic<Model<SessionRow, SessionCreation>>;
	let notes: ModelStatic<Model<NoteRow, NoteCreation>>;

	/** A function that defines models in the migrated database of a service. */
	const databaseOf = async (service: string) => {
		const connection = acquire(await databases.create());
		connections.push(connection);
		await migrate(connection.sequelize, service);
		return <M extends Model>({ name, define, options }: { name: string; define: object; options: object }) =>
			connection.sequelize.define(name, { ...define }, { ...options }) as unknown as ModelStatic<M>;
	};
	before(async () => {
		const inUser = await databaseOf("user");
		users = inUser(userModel);
		sessions = inUser(sessionModel);
		notes = (await databaseOf("note"))(noteModel);
	});
	after(() => Promise.all(connections.map(connection => connection.release())));

	const aNote = (change: Partial<NoteCreation> = {}): NoteCreation => ({
		user_id: 1,
		title: "title",
		content: "content",
		title_folded: "title",
		content_folded: "content",
		...change
	});

	it("have every column that the migrations made, and no other", async () => {
		for (const model of [users, sessions, notes] as ModelStatic<Model>[]) {
			const columns = await model.describe();
			assert.deepEqual(Object.keys(model.getAttributes()).sort(), Object.keys(columns).sort());
		}
	});

	it("keep a user as it was given, with the defaults", async () => {
		const user = { username: ANYTHING, username_key: ANYTHING.toLowerCase(), password_hash: "$argon2id$v=19$x" };
		const { id } = (await users.create(user)).get();
		const row = (await users.findByPk(id, { rejectOnEmpty: true })).get();
		const { created_at, updated_at, ...rest } = row;
		assert.deepEqual(rest, { id, ...user, role: "user", avatar: "", status: "ACTIVE" });
		assert.ok(created_at instanceof Date && updated_at instanceof Date);
	});

	it("let nobody have the key of another user, and tell keys apart that differ in case, accent or form", async () => {
		const keys = ["strasse", "straße", "Strasse", "strässe", "e\u0301", "\u00e9", "😀", "😁"];
		for (const username_key of keys) await users.create({ username: "x", username_key, password_hash: "x" });
		for (const username_key of keys)
			await assert.rejects(users.create({ username: "x", username_key, password_hash: "x" }), (error: Error) => {
				assert.ok(error instanceof UniqueConstraintError);
				assert.deepEqual(
					error.errors.map(({ path }) => path),
					["username_key"]
				);
				return true;
			});
	});

	it("keep a session under its text key", async () => {
		const session = { id: "Ab-_".repeat(5).concat("xy"), user_id: 1, token_hash: "f".repeat(64) };
		const expires_at = new Date("2030-01-01T00:00:00.001Z");
		await sessions.create({ ...session, expires_at });
		const { created_at, ...row } = (await sessions.findByPk(session.id, { rejectOnEmpty: true })).get();
		assert.deepEqual(row, { ...session, expires_at, revoked_at: null });
		assert.ok(created_at instanceof Date);
		assert.equal(await sessions.findByPk(session.id.toLowerCase()), null);
	});

	it("keep the longest note there can be", async () => {
		const title = "😀".repeat(128);
		const content = "ü".repeat(32_767);
		const content_folded = "😀".repeat(65_535);
		const { id } = (await notes.create(aNote({ title, content, title_folded: "i̇".repeat(256), content_folded }))).get();
		const row = (await notes.findByPk(id, { rejectOnEmpty: true })).get();
		assert.deepEqual([row.title, row.content, row.content_folded], [title, content, content_folded]);
		assert.deepEqual([row.version, row.deleted_at], [1, null]);
	});

	it("leave a deleted note out of every query unless asked, and keep its row", async () => {
		const { id } = (await notes.create(aNote())).get();
		await notes.destroy({ where: { id } });
		assert.equal(await notes.findByPk(id), null);
		assert.deepEqual(await notes.update({ title: "x" }, { where: { id } }), [0]);
		const row = await notes.findByPk(id, { paranoid: false, rejectOnEmpty: true });
		assert.ok(row.get().deleted_at instanceof Date);
	});

	it("give no id twice, also when the last note is deleted for good", async () => {
		const { id } = (await notes.create(aNote())).get();
		await notes.destroy({ where: { id }, force: true });
		assert.equal((await notes.create(aNote())).get().id, id + 1);
	});
});
