import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { StatementSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import {
	DatabaseError,
	ForeignKeyConstraintError,
	QueryTypes,
	Sequelize,
	type Transaction,
	UniqueConstraintError
} from "sequelize";
import { acquire, type SharedConnection } from "../../../mixins/db/connection.ts";
import { sqliteModule } from "../../../mixins/db/sqlite-module.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";

describe("The SQLite dialect module", () => {
	let connection: SharedConnection;
	let sequelize: Sequelize;
	const file = join(temporaryFolder("module"), "new", "folders", "test.sqlite");

	const select = <Row extends object>(sql: string, transaction?: Transaction) =>
		sequelize.query<Row>(sql, { type: QueryTypes.SELECT, transaction });
	const codeOf = (error: DatabaseError) => (error.parent as Error & { code?: string }).code;

	before(async () => {
		connection = acquire(`sqlite:${file}`);
		sequelize = connection.sequelize;
		await sequelize.query("CREATE TABLE kinds (id INTEGER PRIMARY KEY AUTOINCREMENT, free, text TEXT, bytes BLOB)");
		await sequelize.query("CREATE TABLE parents (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b))");
		await sequelize.query(
			"CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parents (id), n INT CHECK (n > 0))"
		);
		await sequelize.query("INSERT INTO parents VALUES (1, 'x', 'y')");
	});
	after(() => connection.release());

	it("creates the folder of the file", () => assert.ok(existsSync(file)));

	it("writes ahead, syncs fully and checks foreign keys, inside and outside of transactions", async () => {
		const pragmas = async (transaction?: Transaction) => [
			...(await select("PRAGMA journal_mode", transaction)),
			...(await select("PRAGMA synchronous", transaction)),
			...(await select("PRAGMA foreign_keys", transaction))
		];
		const expected = [{ journal_mode: "wal" }, { synchronous: 2 }, { foreign_keys: 1 }];
		assert.deepEqual(await pragmas(), expected);
		assert.deepEqual(await sequelize.transaction(pragmas), expected);
	});

	const samples: [string, unknown, unknown?][] = [
		["zero", 0],
		["a negative number", -42],
		["a fraction", 0.1],
		["a number of 2^32 and more", 2 ** 32 + 1],
		["the largest safe integer", Number.MAX_SAFE_INTEGER],
		["the smallest safe integer", Number.MIN_SAFE_INTEGER],
		["a large fraction", 1e300],
		["true, as 1", true, 1],
		["false, as 0", false, 0],
		["null", null],
		["an empty text", ""],
		["quotes", `' '' " \` '; DROP TABLE kinds; --`],
		["backslashes", "\\ \\' \\0 \\\\"],
		["a NUL between letters", "a\0b"],
		["NULs at both ends", "\0\0ab'\0"],
		["emoji", "😀👨‍👩‍👧🏳️‍🌈"],
		["line ends and tabs", "a\r\nb\tc\u2028d"],
		["placeholders", "? :a $1 @b"],
		["bytes", Buffer.from([0, 1, 39, 255])]
	];
	for (const [name, value, stored = value] of samples) {
		it(`keeps ${name}, whether bound or written into the statement`, async () => {
			const insert = "INSERT INTO kinds (free) VALUES";
			const [bound] = await sequelize.query(`${insert} ($1)`, { bind: [value], type: QueryTypes.INSERT });
			const [literal] = await sequelize.query(`${insert} (:value)`, {
				replacements: { value },
				type: QueryTypes.INSERT
			});
			for (const id of [bound, literal]) {
				const [row] = await select<{ free: unknown }>(`SELECT free FROM kinds WHERE id = ${id}`);
				assert.deepEqual(row, { free: stored });
			}
			const [found] = await sequelize.query("SELECT count(*) AS n FROM kinds WHERE free IS :value AND id IN (:ids)", {
				replacements: { value, ids: [bound, literal] },
				type: QueryTypes.SELECT
			});
			assert.deepEqual(found, { n: 2 });
		});
	}

	it("keeps a whole number whole in a text column", async () => {
		const [id] = await sequelize.query("INSERT INTO kinds (text) VALUES ($1)", { bind: [5], type: QueryTypes.INSERT });
		assert.deepEqual(await select(`SELECT text FROM kinds WHERE id = ${id}`), [{ text: "5" }]);
	});

	describe("an integer that JavaScript cannot hold", () => {
		for (const large of ["9007199254740993", "-9007199254740993", "9223372036854775807"]) {
			it(`is read as text, beside numbers: ${large}`, async () => {
				const row = { n: large, safe: 1, half: 0.5, text: "x", bytes: Buffer.from([1]), none: null };
				const sql = `SELECT ${large} AS n, 1 AS safe, 0.5 AS half, 'x' AS text, x'01' AS bytes, NULL AS none`;
				assert.deepEqual(await select(sql), [row]);
				assert.deepEqual(await select(sql), [row]);
			});

			it(`is handed over by the statement that writes it, which runs once: ${large}`, async () => {
				const [id] = await sequelize.query(`INSERT INTO kinds (free) VALUES (${BigInt(large) - 1n})`, {
					type: QueryTypes.INSERT
				});
				const [rows] = await sequelize.query(`UPDATE kinds SET free = free + 1 WHERE id = ${id} RETURNING free`);
				assert.deepEqual(rows, [{ free: large }]);
				assert.deepEqual(await select(`SELECT free FROM kinds WHERE id = ${id}`), rows);
			});
		}
	});

	it("tells how many rows a raw statement changed, and the id of an inserted row", async () => {
		const insert = "INSERT INTO kinds (text) VALUES ('raw 1'), ('raw 2')";
		const [, inserted] = await sequelize.query(insert);
		const { lastID, changes } = inserted as { lastID: number; changes: number };
		assert.equal(changes, 2);
		const [, updated] = await sequelize.query("UPDATE kinds SET bytes = NULL WHERE text LIKE 'raw _'");
		assert.equal((updated as { changes: number }).changes, 2);
		assert.deepEqual(await select(`SELECT text FROM kinds WHERE id = ${lastID}`), [{ text: "raw 2" }]);
	});

	it("hands over the rows of a statement that writes and returns", async () => {
		const [rows] = await sequelize.query("UPDATE kinds SET bytes = NULL WHERE text = 'raw 2' RETURNING text");
		assert.deepEqual(rows, [{ text: "raw 2" }]);
	});

	it("knows the columns of a table that was changed after a statement on it had been prepared", async () => {
		await sequelize.query("CREATE TABLE changing (a)");
		await sequelize.query("INSERT INTO changing VALUES (1)");
		assert.deepEqual(await select("SELECT * FROM changing"), [{ a: 1 }]);
		await sequelize.query("ALTER TABLE changing ADD COLUMN b DEFAULT 2");
		assert.deepEqual(await select("SELECT * FROM changing"), [{ a: 1, b: 2 }]);
		await sequelize.query("DROP TABLE changing");
		await assert.rejects(select("SELECT * FROM changing"), /no such table: changing/);
	});

	it("prepares more different statements than it keeps", async () => {
		for (let n = 0; n < 250; n++) assert.deepEqual(await select(`SELECT ${n} AS n`), [{ n }]);
		assert.deepEqual(await select("SELECT 0 AS n"), [{ n: 0 }]);
	});

	describe("when a constraint is violated", () => {
		const unique: [string, string, string[]][] = [
			["a primary key", "INSERT INTO parents VALUES (1, 'other', 'other')", ["id"]],
			["a unique pair", "INSERT INTO parents VALUES (2, 'x', 'y')", ["a", "b"]]
		];
		for (const [name, sql, fields] of unique) {
			it(`throws a UniqueConstraintError that names the columns of ${name}`, () =>
				assert.rejects(sequelize.query(sql), (error: Error) => {
					assert.ok(error instanceof UniqueConstraintError);
					assert.deepEqual(error.fields, fields);
					assert.deepEqual(
						error.errors.map(({ path }) => path),
						fields
					);
					const parent = error.parent as Error & { code?: string; errno?: number };
					assert.deepEqual([parent.code, parent.errno], ["SQLITE_CONSTRAINT", 19]);
					const columns = fields.map(field => `parents.${field}`).join(", ");
					assert.equal(parent.message, `SQLITE_CONSTRAINT: UNIQUE constraint failed: ${columns}`);
					return true;
				}));
		}

		it("throws a ForeignKeyConstraintError for a parent that is not there", () =>
			assert.rejects(sequelize.query("INSERT INTO children VALUES (1, 99, 1)"), ForeignKeyConstraintError));

		for (const [sql, code] of [
			["INSERT INTO children VALUES (1, NULL, 1)", "SQLITE_CONSTRAINT_NOTNULL"],
			["INSERT INTO children VALUES (1, 1, -1)", "SQLITE_CONSTRAINT_CHECK"]
		] as const) {
			it(`throws a DatabaseError with ${code}, not a UniqueConstraintError`, () =>
				assert.rejects(sequelize.query(sql), (error: DatabaseError) => {
					assert.equal(error.name, "SequelizeDatabaseError");
					assert.equal(codeOf(error), code);
					return true;
				}));
		}
	});

	it("throws a DatabaseError with SQLITE_ERROR for a statement that is wrong", () =>
		assert.rejects(sequelize.query("SELEKT 1"), (error: DatabaseError) => {
			assert.ok(error instanceof DatabaseError);
			assert.equal(codeOf(error), "SQLITE_ERROR");
			return true;
		}));

	it("refuses ':memory:', where transactions would not be isolated", async () => {
		const memory = new Sequelize({ dialect: "sqlite", dialectModule: sqliteModule(), logging: false });
		await assert.rejects(memory.authenticate(), /':memory:' is private to one connection/);
	});

	it("tells at once that an older Node can not serve it", t => {
		const columns = Object.getOwnPropertyDescriptor(StatementSync.prototype, "columns") as PropertyDescriptor;
		t.after(() => Object.defineProperty(StatementSync.prototype, "columns", columns));
		Reflect.deleteProperty(StatementSync.prototype, "columns");
		assert.throws(() => sqliteModule(), /^Error: Node 24 is needed for SQLite/);
	});
});
