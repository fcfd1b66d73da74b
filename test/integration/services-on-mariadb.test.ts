import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { acquire } from "../../mixins/db/connection.ts";
import { migrate, migratedServices } from "../../models/migrator.ts";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import type { Note, NotePage } from "../../services/note/note.contract.ts";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { type App, startNode, startSplitApp, useEnvironment } from "../support/app.ts";
import type { Client, TestUser } from "../support/client.ts";
import { raceForName } from "../support/races.ts";
import { requireServers } from "../support/servers.ts";
import { legalTexts } from "../support/texts.ts";
import { until } from "../support/until.ts";

const { skip } = await requireServers("mariadb");

describe("A gateway and two nodes with user and note on MariaDB", { skip }, () => {
	const ends: (() => Promise<void>)[] = [];
	let server: MariadbServer;
	let app: App;
	let client: Client;
	let user: TestUser;

	before(async () => {
		server = await startMariadb({ durable: false });
		// The environment is read when the first service is created.
		const secret = "a-secret-for-tests-of-at-least-32-bytes";
		useEnvironment({ DATABASE_URL: `${server.url}/{service}`, JWT_KEYS: `test:${secret}` });
		for (const service of migratedServices()) {
			const { sequelize, release } = acquire(await server.createDatabase(service));
			await migrate(sequelize, service);
			await release();
		}
		const suite = { after: (end: () => Promise<void>) => void ends.push(end) };
		app = await startSplitApp(suite);
		await startNode(suite, app, "worker-2", ["user", "note"]);
		await until(
			"the gateway sees both user nodes",
			() => app.broker.registry.actions.get("user.register")?.count() === 2
		);
		client = app.client;
		user = await client.newUser();
	});
	after(async () => {
		for (const end of ends) await end();
		await server?.stop();
	});

	const times = <T>(count: number, work: (i: number) => Promise<T>) =>
		Promise.all(Array.from({ length: count }, (_, i) => work(i)));
	const won = (answers: { status: number }[]) => answers.filter(({ status }) => status === 200).length;

	it("have one winner of twenty registrations of one name in twenty spellings", async () => {
		for (let round = 0; round < 5; round++) await raceForName([client], `mariadb ${round}`);
	});

	it("have one winner of twenty changes of one version of a note", async () => {
		const { note_id } = await client.newNote(user.token);
		const change = (i: number) =>
			client.send("PUT", `/v1/note/${note_id}`, { token: user.token, json: { title: `Title ${i}`, version: 1 } });
		const answers = await times(20, change);
		assert.equal(won(answers), 1);
		for (const answer of answers.filter(({ status }) => status !== 200)) assertFailure(answer, "stale");
	});

	// Other text is not compared with a column of ASCII: the statement fails.
	for (const path of ["/v1/saga/ü", "/v1/saga/a%20", "/v1/audit?action=ü", "/v1/audit?object_type=ü"])
		it(`refuse ${path}`, async () => {
			assertFailure(await client.send("GET", path.replace("ü", "%C3%BC"), { token: user.token }), "invalid");
		});

	it("write one note for twenty requests with one Idempotency-Key, and give all the same answer", async () => {
		for (let round = 0; round < 5; round++) {
			const headers = { "Idempotency-Key": `race-${round}` };
			const json = { title: "once", content: "x" };
			const { token } = await client.newUser();
			const answers = await times(20, () => client.send("POST", "/v1/note", { token, json, headers }));
			assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
			assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
			const page = assertSuccess<NotePage>(await client.send("GET", "/v1/note/query", { token }));
			assert.equal(page.total, 1);
		}
	});

	it("let nobody wait for who waits for a note with the same Idempotency-Key", async () => {
		type Notes = { insert(id: number, texts: { title: string }, ...rest: unknown[]): Promise<unknown> };
		const { notes } = app.worker.getLocalService("note") as unknown as { notes: Notes };
		const { insert } = notes;
		const gate = Promise.withResolvers<void>();
		const reached = Promise.withResolvers<void>();
		notes.insert = async (id, texts, ...rest) => {
			if (texts.title === "slow") {
				reached.resolve();
				await gate.promise;
			}
			return insert(id, texts, ...rest);
		};
		const meta = { user: { id: user.user_id, role: "user", session_id: "s" } };
		const create = (title: string, idempotency_key?: string) =>
			app.worker.call(
				"note.create",
				{ title, content: "x" },
				{ meta: { ...meta, ...(idempotency_key && { idempotency_key }) }, nodeID: "worker" }
			);
		const first = create("slow", "held");
		await reached.promise;
		let isReleased = false;
		const others = Array.from({ length: 8 }, (_, i) => create(`other ${i}`));
		const again = create("slow", "held");
		const more = Array.from({ length: 8 }, (_, i) => create(`more ${i}`));
		setTimeout(() => {
			isReleased = true;
			gate.resolve();
		}, 3_000);
		await Promise.all([...others, ...more]);
		assert.equal(isReleased, false);
		gate.resolve();
		await Promise.all([first, again]);
		notes.insert = insert;
	});

	it("list as many notes as there are after writes and deletions at once", async () => {
		const users = await times(3, () => client.newUser());
		const of = <T>(work: (user: TestUser) => Promise<T>) => Promise.all(users.map(work));
		const written = await of(({ token }) => times(20, () => client.newNote(token)));
		const gone = written.map(notes => notes.slice(0, 8).flatMap(({ note_id }) => [note_id, note_id]));
		await Promise.all(
			users.flatMap(({ token }, i) => [
				...(gone[i] ?? []).map(id => client.send("DELETE", `/v1/note/${id}`, { token })),
				...Array.from({ length: 5 }, () => client.newNote(token))
			])
		);
		await of(async ({ token }) => {
			const page = assertSuccess<NotePage>(await client.send("GET", "/v1/note/query?limit=50", { token }));
			assert.deepEqual([page.total, page.notes.length], [17, 17]);
			const end = assertSuccess<NotePage>(await client.send("GET", "/v1/note/query?offset=40", { token }));
			assert.deepEqual([end.total, end.notes.length], [17, 0]);
		});
	});

	it("have one winner of ten uses of one refresh token, and then none", async () => {
		const { refresh_token } = await client.newUser();
		const refresh = (token: string) => client.send("POST", "/v1/user/refresh", { json: { refresh_token: token } });
		const answers = await times(10, () => refresh(refresh_token));
		assert.equal(won(answers), 1);
		const next = answers.find(({ status }) => status === 200)?.body.refresh_token as string;
		assertFailure(await refresh(next), "unauthorized");
	});

	it("leave no login alive that began with the old password while it was changed", async () => {
		for (let round = 0; round < 5; round++) {
			const { username, password, token } = await client.newUser();
			const json = { old_password: password, new_password: "another horse" };
			const [changed, ...logins] = await Promise.all([
				client.send("PUT", "/v1/user/password", { token, json }),
				...Array.from({ length: 6 }, () => client.send("POST", "/v1/user/login", { json: { username, password } }))
			]);
			assertSuccess(changed);
			for (const login of logins.filter(({ status }) => status === 200)) {
				const { refresh_token } = login.body;
				assertFailure(await client.send("POST", "/v1/user/refresh", { json: { refresh_token } }), "unauthorized");
			}
		}
	});

	it("have one winner of five password changes with one old password", async () => {
		const { token, password } = await client.newUser();
		const change = (i: number) =>
			client.send("PUT", "/v1/user/password", {
				token,
				json: { old_password: password, new_password: `another horse ${i}` }
			});
		const answers = await times(5, change);
		assert.equal(won(answers), 1);
		for (const answer of answers.filter(({ status }) => status !== 200)) assertFailure(answer, "unauthorized");
	});

	for (const [what, text] of Object.entries(legalTexts))
		it(`keep ${what} as it was sent, as name, title and content, and find it`, async () => {
			const { token } = await client.newUser(`${what} ${text}`);
			const me = await client.send("GET", "/v1/user/me", { token });
			assert.equal(assertSuccess<{ username: string }>(me).username, `${what} ${text}`);
			const { note_id } = await client.newNote(token, text, `<<${text}>>`);
			const note = assertSuccess<Note>(await client.send("GET", `/v1/note/${note_id}`, { token }));
			assert.deepEqual([note.title, note.content], [text, `<<${text}>>`]);
			const query = `search_key=${encodeURIComponent(`<${text}>`)}`;
			const found = assertSuccess<NotePage>(await client.send("GET", `/v1/note/query?${query}`, { token }));
			assert.deepEqual(found.notes, [note]);
		});

	it("take the longest texts there may be, also those that grow in lower case", async () => {
		for (const letter of ["x", "👍", "İ"]) {
			const { token } = await client.newUser(letter.repeat(128));
			const content = letter.repeat(Math.floor(65_535 / Buffer.byteLength(letter)));
			const { note_id } = await client.newNote(token, letter.repeat(128), content);
			const note = assertSuccess<Note>(await client.send("GET", `/v1/note/${note_id}`, { token }));
			assert.deepEqual([note.title, note.content], [letter.repeat(128), content]);
		}
	});

	it("answer 503 while the database is away, and go on when it is back", async () => {
		const { note_id } = await client.newNote(user.token);
		const { username, password, token, refresh_token } = user;
		await server.stop();
		const requests = [
			["POST", "/v1/user/register", { json: { username: "new", password } }],
			["POST", "/v1/user/login", { json: { username, password } }],
			["POST", "/v1/user/refresh", { json: { refresh_token } }],
			["GET", "/v1/user/me", { token }],
			["POST", "/v1/note", { token, json: { title: "a", content: "b" } }],
			["GET", `/v1/note/${note_id}`, { token }],
			["GET", "/v1/note/query", { token }],
			["PUT", `/v1/note/${note_id}`, { token, json: { title: "x" } }],
			["DELETE", `/v1/note/${note_id}`, { token }]
		] as const;
		for (const [method, path, options] of requests)
			assertFailure(await client.send(method, path, options), "unavailable");
		assert.equal((await client.send("GET", "/readyz")).status, 503);

		await server.start();
		await until("the gateway is ready", async () => (await client.send("GET", "/readyz")).status === 200);
		assertSuccess(await client.send("GET", `/v1/note/${note_id}`, { token }));
		assertSuccess(await client.send("POST", "/v1/user/login", { json: { username, password } }));
	});
});
