import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { statementShape } from "../../../mixins/db/statement.ts";

describe("The shape of a statement", () => {
	const cases: [what: string, dialect: "mysql" | "sqlite", sql: string, shape: string][] = [
		[
			"texts",
			"mysql",
			"SELECT `id` FROM `t` WHERE `a` = 'it\\'s' AND `b` = 'x''y'",
			"SELECT `id` FROM `t` WHERE `a` = ? AND `b` = ?"
		],
		[
			"a text that ends in a backslash",
			"sqlite",
			"SELECT 1 FROM `t` WHERE `a` = 'x\\' AND `b` = 's'",
			"SELECT ? FROM `t` WHERE `a` = ? AND `b` = ?"
		],
		[
			"numbers",
			"mysql",
			"SELECT `a1` FROM `t2` WHERE `id` = 42 AND `x` > -1.5e3 LIMIT 10, 20;",
			"SELECT `a1` FROM `t2` WHERE `id` = ? AND `x` > ? LIMIT ?, ?;"
		],
		["binary values", "mysql", "INSERT INTO `t` (`a`) VALUES (X'00ff')", "INSERT INTO `t` (`a`) VALUES (?)"],
		["lists", "mysql", "SELECT `a` FROM `t` WHERE `id` IN (1, 2, 3)", "SELECT `a` FROM `t` WHERE `id` IN (?)"],
		["many rows", "mysql", "INSERT INTO `t` (`a`,`b`) VALUES (1,'x'),(2,'y')", "INSERT INTO `t` (`a`,`b`) VALUES (?)"],
		[
			"bound parameters",
			"sqlite",
			"INSERT INTO `t` (`a`,`b`) VALUES ($1,$2);",
			"INSERT INTO `t` (`a`,`b`) VALUES (?);"
		],
		[
			"names with digits",
			"sqlite",
			'SELECT "col1", x2 FROM `sha256` WHERE h3.a4 = 5',
			'SELECT "col1", x2 FROM `sha256` WHERE h3.a4 = ?'
		]
	];
	for (const [what, dialect, sql, shape] of cases)
		it(`is without ${what}, on ${dialect}`, () => assert.equal(statementShape(sql, dialect), shape));
});
