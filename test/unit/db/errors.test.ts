import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionError, DatabaseError } from "sequelize";
import { isAway } from "../../../mixins/db/errors.ts";

/** What Sequelize throws where the driver gives this error. */
function databaseError(code: string, fields = {}): DatabaseError {
	return new DatabaseError(Object.assign(new Error("refused"), { sql: "SELECT 1", code, ...fields }));
}

describe("An error of the database", () => {
	for (const [what, error] of [
		["of the connection", new ConnectionError(new Error("refused"))],
		["that took its connection along", databaseError("PROTOCOL_CONNECTION_LOST", { fatal: true })],
		["of a locked SQLite file", databaseError("SQLITE_BUSY")],
		["of a full disk under SQLite", databaseError("SQLITE_FULL")],
		["of a full disk under MySQL", databaseError("ER_DISK_FULL")],
		["of a full table of MySQL", databaseError("ER_RECORD_FILE_FULL")],
		["of a MySQL that is read-only", databaseError("ER_OPTION_PREVENTS_STATEMENT")]
	] as const)
		it(`${what} means that it is away`, () => assert.equal(isAway(error), true));

	for (const [what, error] of [
		["of a statement", databaseError("ER_PARSE_ERROR")],
		["of a constraint", databaseError("SQLITE_CONSTRAINT")],
		["of ours", new TypeError("no such method")]
	] as const)
		it(`${what} does not`, () => assert.equal(isAway(error), false));
});
