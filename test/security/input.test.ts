import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { routes } from "../../services/api/routes.ts";
import { assertFailure } from "../support/answers.ts";
import { onBothShapes, useEnvironment } from "../support/app.ts";
import type { TestUser } from "../support/client.ts";
import { sampleRequests } from "../support/requests.ts";

useEnvironment({ LOGIN_ATTEMPTS: "0" });

/** The fields that an answer about a thing has, and no more. */
const SHOWN = {
	user: ["user_id", "username", "avatar"],
	note: ["note_id", "user_id", "username", "user_avatar", "title", "content", "create_time", "update_time", "version"],
	tokens: ["user_id", "token", "expire", "refresh_token"]
};

onBothShapes(app => {
	let user: TestUser;
	before(async () => {
		user = await app().client.newUser();
	});
	const send = (method: string, path: string, json?: unknown) =>
		app().client.send(method, path, { token: user.token, ...(json !== undefined && { json }) });

	describe("API3: a field that is not the client's to set", () => {
		const wanted = [
			"id",
			"user_id",
			"note_id",
			"role",
			"password_hash",
			"username_key",
			"avatar",
			"title_folded",
			"created_at",
			"deleted_at",
			"create_time",
			"revoked_at",
			"session_id"
		];
		for (const { name, route, path, options } of sampleRequests().filter(
			({ route }) => route.params && !route.role && route.method !== "GET"
		))
			it(`is refused by name on ${name}, whichever it is`, async () => {
				for (const field of wanted.filter(field => !(field in (route.params ?? {})))) {
					const answer = await send(route.method, path, { ...(options.json as object), [field]: 1 });
					assertFailure(answer, "invalid");
					assert.ok(answer.text.includes(`"${field}"`), answer.text);
				}
			});
		it("is refused where the path has it already", async () => {
			assertFailure(await send("PUT", "/v1/note/1", { title: "a", note_id: 2 }), "invalid");
		});
	});

	describe("API3: an answer", () => {
		it("shows the fields of the contract and no other column", async () => {
			const note = await send("POST", "/v1/note", { title: "a", content: "b" });
			assert.deepEqual(Object.keys(note.body.data).sort(), [...SHOWN.note].sort());
			const me = await send("GET", "/v1/user/me");
			assert.deepEqual(Object.keys(me.body.data).sort(), [...SHOWN.user].sort());
			const page = await send("GET", "/v1/note/query");
			for (const found of (page.body.data as { notes: object[] }).notes)
				assert.deepEqual(Object.keys(found).sort(), [...SHOWN.note].sort());
			const { username, password } = user;
			const login = await send("POST", "/v1/user/login", { username, password });
			assert.deepEqual(Object.keys(login.body.data).sort(), [...SHOWN.tokens].sort());
		});
	});

	describe("API8: text that means something to a database, a browser, a shell or a log", () => {
		const texts = [
			...[
				"' OR '1'='1",
				"'; DROP TABLE notes; --",
				'" OR ""="',
				"\\' OR 1=1 #",
				"1; SELECT sleep(9)",
				"/* */ UNION SELECT * FROM users"
			],
			...[
				"<script>alert(1)</script>",
				"{{7*7}}",
				"$(id)",
				"`id`",
				"%s%n",
				"../../etc/passwd",
				"%{jndi:ldap://x}",
				"=cmd|'/c calc'!A1"
			]
		];
		for (const text of texts)
			it(`is only text: ${text}`, async () => {
				const created = await send("POST", "/v1/note", { title: text, content: text });
				assert.equal(created.status, 201);
				const { title, content, note_id } = created.body.data as { title: string; content: string; note_id: number };
				assert.deepEqual([title, content], [text, text]);
				const found = await send("GET", `/v1/note/query?search_key=${encodeURIComponent(text)}`);
				const { total, notes } = found.body.data as { total: number; notes: { note_id: number }[] };
				assert.deepEqual([total, notes[0]?.note_id], [1, note_id], "search takes it literally");
				assert.equal((await send("DELETE", `/v1/note/${note_id}`)).status, 200);
			});

		it("does not split a header", async () => {
			const answer = await send("POST", "/v1/note", { title: "a\r\nX-Injected: 1", content: "b" });
			assertFailure(answer, "invalid");
			assert.equal(answer.headers["x-injected"], undefined);
			const query = await send("GET", "/v1/note/query?search_key=a%0d%0aX-Injected:%201");
			assert.equal(query.headers["x-injected"], undefined);
		});

		it("is no operator of a query", async () => {
			for (const value of [{ $ne: null }, { $gt: "" }, ["a"], { "Op.ne": 1 }, true, 1]) {
				assertFailure(await send("POST", "/v1/user/login", { username: value, password: "123456" }), "invalid");
				assertFailure(await send("POST", "/v1/user/login", { username: user.username, password: value }), "invalid");
			}
			for (const query of ["search_key[$ne]=1", "search_key[]=a", "search_key=a&search_key=b", "limit[$gt]=1"])
				assertFailure(await send("GET", `/v1/note/query?${query}`), "invalid");
		});
	});

	describe("Prototype pollution", () => {
		const bodies = [
			'{"__proto__":{"polluted":true},"title":"a","content":"b"}',
			'{"constructor":{"prototype":{"polluted":true}},"title":"a","content":"b"}',
			'{"title":{"__proto__":{"polluted":true}},"content":"b"}',
			'{"title":"a","content":"b","a":{"__proto__":{"polluted":true}}}'
		];
		const queries = [
			"__proto__[polluted]=1",
			"constructor[prototype][polluted]=1",
			"__proto__.polluted=1",
			"__proto__=polluted"
		];
		it("is refused in any place, and leaves every object as it was", async () => {
			for (const raw of bodies)
				for (const [method, path] of [
					["POST", "/v1/note"],
					["PUT", "/v1/note/1"],
					["POST", "/v1/user/login"]
				] as const) {
					const headers = { "Content-Type": "application/json" };
					assertFailure(await app().client.send(method, path, { token: user.token, raw, headers }), "invalid");
				}
			for (const query of queries) assertFailure(await send("GET", `/v1/note/query?${query}`), "invalid");
			const form = { "__proto__[polluted]": "1", username: "a", password: "b" };
			assertFailure(await app().client.send("POST", "/v1/user/login", { form }), "invalid");
			assert.equal(({} as { polluted?: unknown }).polluted, undefined);
			assert.deepEqual(Object.keys(Object.prototype), []);
		});
	});

	describe("API4: a request that wants more than its share", () => {
		it("gets 100 notes a page at most, and a window of numbers that exist", async () => {
			for (const query of [
				"limit=101",
				"limit=999999999",
				"limit=-1",
				"limit=1e9",
				"offset=-1",
				"offset=9007199254740993",
				"limit=Infinity"
			])
				assertFailure(await send("GET", `/v1/note/query?${query}`), "invalid");
			assert.equal((await send("GET", "/v1/note/query?offset=9007199254740991&limit=100")).status, 200);
		});
		it("may not hold JSON that is 100 000 levels deep", async () => {
			const raw = `{"title":${"[".repeat(100_000)}${"]".repeat(100_000)},"content":"b"}`;
			const headers = { "Content-Type": "application/json" };
			const { status } = await app().client.send("POST", "/v1/note", { token: user.token, raw, headers });
			assert.ok([400, 422].includes(status), String(status));
		});
		it("may not hold a password that takes long to hash", async () => {
			const password = "x".repeat(100_000);
			assertFailure(await send("POST", "/v1/user/login", { username: "a", password }), "invalid");
			assertFailure(await send("POST", "/v1/user/register", { username: "a", password }), "invalid");
		});
		it("costs nothing more once its body is known to be too large", async () => {
			for (const { method, path } of routes.filter(
				({ method, role }) => !role && (method === "POST" || method === "PUT")
			)) {
				const headers = { "Content-Type": "application/json" };
				const raw = `{"a":"${"x".repeat(600_000)}"}`;
				const answer = await app().client.send(method, path.replace(/:\w+/, "1"), {
					token: user.token,
					raw,
					headers
				});
				assertFailure(answer, "tooLarge");
			}
		});
	});
});
