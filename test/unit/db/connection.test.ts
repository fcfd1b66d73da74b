import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { acquire } from "../../../mixins/db/connection.ts";
import { parseMysqlUrl, withoutPassword } from "../../../mixins/db/mysql-url.ts";
import { withoutLiterals } from "../../../mixins/db/redact.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";

describe("A shared connection", () => {
	it("is closed by the last of its users, however often each of them releases it", async () => {
		const url = `sqlite:${join(temporaryFolder("shared"), "a.sqlite")}`;
		const [first, second] = [acquire(url), acquire(url)];
		assert.equal(first.sequelize, second.sequelize);
		await Promise.all([first.release(), first.release()]);
		await second.sequelize.query("SELECT 1");
		await second.release();
		await assert.rejects(second.sequelize.query("SELECT 1"), /closed/);

		const third = acquire(url);
		assert.notEqual(third.sequelize, first.sequelize);
		await third.sequelize.query("SELECT 1");
		await third.release();
	});

	it("to sqlite::memory: is a file with all guarantees, which vanishes with its last user", async () => {
		const { sequelize, release } = acquire("sqlite::memory:");
		const { storage } = (sequelize as unknown as { options: { storage: string } }).options;
		await sequelize.query("CREATE TABLE counters AS SELECT 0 AS value");
		await Promise.all(
			Array.from({ length: 10 }, () =>
				sequelize.transaction(transaction => sequelize.query("UPDATE counters SET value = value + 1", { transaction }))
			)
		);
		const [rows] = await sequelize.query("SELECT value FROM counters");
		assert.deepEqual(rows, [{ value: 10 }]);
		assert.ok(existsSync(storage));
		await release();
		assert.ok(!existsSync(storage));
	});

	for (const url of [
		"",
		"note",
		"sqlite:",
		"sqlite3:a",
		"postgres://localhost/a",
		"mysql:/localhost",
		"http://u:hunter2@h"
	]) {
		it(`is refused for the URL '${url}'`, () =>
			assert.throws(
				() => acquire(url),
				(error: Error) => {
					assert.match(error.message, /^Unknown database URL/);
					assert.doesNotMatch(error.message, /hunter2/);
					return true;
				}
			));
	}
});

describe("A MySQL URL", () => {
	it("tells host, port, user, password and database, decoded", () =>
		assert.deepEqual(parseMysqlUrl("mysql://us%40er:p%2Fw%3A@db.example:3307/no%20te"), {
			host: "db.example",
			port: 3307,
			user: "us@er",
			password: "p/w:",
			database: "no te"
		}));

	it("has 3306 as its port, and no TLS, unless it says otherwise", () => {
		assert.deepEqual(parseMysqlUrl("mariadb://root@db/note"), {
			host: "db",
			port: 3306,
			user: "root",
			password: "",
			database: "note"
		});
		assert.deepEqual(parseMysqlUrl("mysql://root@db/note?ssl=true").ssl, {});
	});

	for (const [url, shown] of [
		["mysql://root:hunter2@db:3306/note", "mysql://db:3306/note"],
		["mysql://root:hunter2@x@db/note", "mysql://db/note"],
		["mysql://db/note", "mysql://db/note"],
		["sqlite:./data/note.sqlite", "sqlite:./data/note.sqlite"]
	] as const) {
		it(`is shown without user and password: ${shown}`, () => assert.equal(withoutPassword(url), shown));
	}
});

describe("A statement in the log", () => {
	const cases: ["mysql" | "sqlite", string, string][] = [
		["sqlite", "SELECT * FROM `a` WHERE b = 'x' AND c = 5", "SELECT * FROM `a` WHERE b = ? AND c = 5"],
		["sqlite", "VALUES ('it''s', 'a\\'), ('b', X'00ff')", "VALUES (?, ?), (?, X?)"],
		["sqlite", "VALUES ('two\nlines', '')", "VALUES (?, ?)"],
		["mysql", "VALUES ('it\\'s', 'a\\\\', 'b''c')", "VALUES (?, ?, ?)"],
		["mysql", "VALUES ('line\\\n end', 'x')", "VALUES (?, ?)"]
	];
	for (const [dialect, sql, shown] of cases) {
		it(`has no literals (${dialect}): ${JSON.stringify(sql)}`, () =>
			assert.equal(withoutLiterals(sql, dialect), shown));
	}
});
