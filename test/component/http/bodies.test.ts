import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { assertFailure, assertInvalid, assertSuccess, type failures } from "../../support/answers.ts";
import { onBothShapes, useEnvironment } from "../../support/app.ts";
import type { Answer, TestUser } from "../../support/client.ts";
import { RawConnection } from "../../support/raw.ts";

useEnvironment();

const JSON_TYPE = { "Content-Type": "application/json" };
const LIMIT = 512 * 1024;
const NOTE = '{"title":"A title","content":"Some content"}';

const nested = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels);

onBothShapes(app => {
	let user: TestUser;
	before(async () => {
		user = await app().client.newUser();
	});
	const write = (raw: string | Buffer, headers: Record<string, string> = JSON_TYPE): Promise<Answer> =>
		app().client.send("POST", "/v1/note", { token: user.token, raw, headers });

	describe("A body", () => {
		const refused: [what: string, raw: string | Buffer, failure: keyof typeof failures][] = [
			["that breaks off", NOTE.slice(0, -1), "unreadable"],
			["with something behind the JSON", `${NOTE}{}`, "unreadable"],
			["in single quotes", NOTE.replaceAll('"', "'"), "unreadable"],
			["with a comma too many", '{"title":"a","content":"b",}', "unreadable"],
			["with a raw line break in a text", '{"title":"a\nb","content":"c"}', "unreadable"],
			["of blanks", "   ", "unreadable"],
			["of NULs", "\0\0\0", "unreadable"],
			["that is null", "null", "unreadable"],
			["that is a number", "5", "unreadable"],
			["that is a text", '"title"', "unreadable"],
			["that is a list", `[${NOTE}]`, "unreadable"],
			["that is not UTF-8", Buffer.from(NOTE.replace("A title", "\xe9t\xe9"), "latin1"), "unreadable"],
			[
				"with half a surrogate pair in bytes",
				Buffer.from(NOTE.replace("A title", "\xed\xa0\x80"), "latin1"),
				"unreadable"
			],
			["of unclosed lists", "[".repeat(LIMIT), "unreadable"],
			["that is 10 000 lists deep", nested("[", "]", 10_000), "unreadable"]
		];
		for (const [what, raw, failure] of refused)
			it(`${what} is refused`, async () => {
				assertFailure(await write(raw), failure);
			});

		const empty: [what: string, raw: string | undefined, headers: Record<string, string>][] = [
			["that is missing", undefined, {}],
			["that is empty", "", JSON_TYPE],
			["that is an empty object", "{}", JSON_TYPE]
		];
		for (const [what, raw, headers] of empty)
			it(`${what} lacks the required fields`, async () => {
				const options = { token: user.token, headers, ...(raw !== undefined && { raw }) };
				assertInvalid(await app().client.send("POST", "/v1/note", options), "title", "content");
			});

		const deep: [what: string, value: string][] = [
			["10 000 lists", nested("[", "]", 10_000)],
			["100 000 lists", nested("[", "]", 100_000)],
			["50 000 objects", `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`],
			["an object with a text's methods", '[{"toString":1,"valueOf":1}]']
		];
		for (const [what, value] of deep)
			for (const field of ["title", "surprise"])
				it(`with ${what} as ${field} is refused`, async () => {
					assertInvalid(await write(`{"title":"a","content":"b","${field}":${value}}`), field);
				});

		it("with the same key twice means the last one, as JSON.parse has it", async () => {
			const created = await write('{"title":"first","title":"last","content":"x"}');
			assert.equal(assertSuccess<{ title: string }>(created, 201).title, "last");
		});

		it("may begin with a byte order mark", async () => {
			assertSuccess(await write(`\ufeff${NOTE}`), 201);
		});

		it("may be as large as the limit, and not a byte larger", async () => {
			assertSuccess(await write(NOTE.padEnd(LIMIT)), 201);
			assertFailure(await write(NOTE.padEnd(LIMIT + 1)), "tooLarge");
		});

		it("that is too large is refused before it is sent", async t => {
			const connection = new RawConnection(app().client.url);
			t.after(() => connection.close());
			const head = ["POST /v1/user/login HTTP/1.1", "Host: x", "Content-Type: application/json"];
			connection.write([...head, `Content-Length: ${LIMIT + 1}`, "", ""].join("\r\n"));
			assert.deepEqual((await connection.until(({ statuses }) => statuses.length > 0)).statuses, [413]);
		});

		it("that is too large is refused also when its length is not told", async () => {
			const chunk = `${(LIMIT + 1).toString(16)}\r\n${" ".repeat(LIMIT + 1)}\r\n0\r\n\r\n`;
			const head = [
				...["POST /v1/note HTTP/1.1", "Host: x", "Content-Type: application/json", "Connection: close"],
				...["Transfer-Encoding: chunked", `Authorization: Bearer ${user.token}`]
			];
			const answer = await app().client.sendBytes(`${head.join("\r\n")}\r\n\r\n${chunk}`);
			assert.match(answer, /^HTTP\/1.1 413 [\s\S]*\r\nX-Request-ID: [0-9a-f]{32}\r\n[\s\S]*"code":10002/i);
		});

		it("that is shorter than announced is refused when the connection ends", async () => {
			const head = ["POST /v1/note HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 1000"];
			const answer = await app().client.sendBytes(`${head.join("\r\n")}\r\n\r\n{"title":`, { end: true });
			assert.match(answer, /^HTTP\/1.1 400 /);
			assert.match(answer, /"code":10002/);
		});

		it("of 50 000 unknown fields gets a short answer", async () => {
			const fields = Array.from({ length: 50_000 }, (_, i) => `"${i.toString(36)}":1`);
			const answer = await write(`{${fields.join()}}`);
			assertFailure(answer, "invalid");
			assert.equal((answer.body.data as { errors: unknown[] }).errors.length, 100);
		});

		it("is never quoted when it can not be read", async () => {
			const secret = "s3cret-pa55word";
			for (const raw of [`{"username":"a","password":${secret}}`, secret, `${secret}"`, `["${secret}"]`]) {
				const answer = await app().client.send("POST", "/v1/user/login", { raw, headers: JSON_TYPE });
				assertFailure(answer, "unreadable");
				assert.ok(!answer.text.includes(secret.slice(0, 3)), answer.text);
			}
		});
	});

	describe("A content type", () => {
		const accepted = [
			...[
				"application/json",
				"APPLICATION/JSON",
				"application/json;charset=utf-8",
				'application/json; charset="UTF-8"'
			],
			"application/json ; charset=utf8"
		];
		for (const type of accepted)
			it(`${type} is accepted`, async () => {
				assertSuccess(await write(NOTE, { "Content-Type": type }), 201);
			});

		const refused = [
			...[
				"text/plain",
				"text/json",
				"application/jsonp",
				"application/merge-patch+json",
				"application/xml",
				"json",
				"*/*"
			],
			...[
				"multipart/form-data; boundary=x",
				"application/x-www-form-urlencoded",
				"application/json, text/plain",
				";;;"
			],
			...[
				"application/json; charset=utf-16",
				"application/json; charset=iso-8859-1",
				"application/json; charset=nonsense"
			]
		];
		for (const type of refused)
			it(`${type} is refused`, async () => {
				assertFailure(await write(NOTE, { "Content-Type": type }), "mediaType");
			});

		it("must be there where a body is", async () => {
			assertFailure(await write(NOTE, {}), "mediaType");
		});

		it("does not matter without a body", async () => {
			const answer = await app().client.send("GET", "/v1/note/query", {
				token: user.token,
				headers: { "Content-Type": "text/plain", "Content-Length": "0" }
			});
			assertSuccess(answer);
		});
	});

	describe("A compressed body", () => {
		const compressed: [encoding: string, raw: Buffer][] = [
			["gzip", gzipSync(NOTE)],
			["br", brotliCompressSync(NOTE)],
			["gzip", Buffer.from("no gzip at all")],
			["gzip", gzipSync(Buffer.alloc(50_000_000))],
			["nonsense", Buffer.from(NOTE)]
		];
		for (const [encoding, raw] of compressed)
			it(`is refused (${encoding}, ${raw.length} bytes)`, async () => {
				assertFailure(await write(raw, { ...JSON_TYPE, "Content-Encoding": encoding }), "mediaType");
			});
	});
});
