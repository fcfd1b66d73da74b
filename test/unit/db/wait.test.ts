import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionError, DatabaseError } from "sequelize";
import { untilReachable } from "../../../mixins/db/wait.ts";

/** Waits for a database whose first attempt fails with an error; answers what was logged. */
async function waited(error: Error): Promise<string[]> {
	const warnings: string[] = [];
	const outcomes = [Promise.reject(error), Promise.resolve()];
	await untilReachable(
		{ authenticate: () => outcomes.shift() as Promise<void> },
		{ name: "sqlite:test", logger: { warn: line => warnings.push(line) }, signal: new AbortController().signal }
	);
	return warnings;
}

const ofStatement = (error: Error, fields: object = {}) =>
	new DatabaseError(Object.assign(error, { sql: "SELECT 1", ...fields }));

describe("A start", () => {
	for (const [what, error] of [
		["a connection that fails", new ConnectionError(new Error("refused"))],
		["a server that shuts down", ofStatement(new Error("shutdown"), { code: "ER_SERVER_SHUTDOWN" })],
		["a connection that was lost on the way", Object.assign(new Error("lost"), { fatal: true })],
		["a folder that can not be made", Object.assign(new Error("not a folder"), { code: "ENOTDIR" })]
	] as const)
		it(`waits after ${what}`, async () => {
			const [warning] = await waited(error);
			assert.match(
				warning as string,
				new RegExp(`^Database sqlite:test cannot be reached: ${error.message}\\. Attempt 1,`)
			);
		});

	for (const [what, error] of [
		["in the program", new TypeError("x is not a function")],
		["in the program, told of by Sequelize", ofStatement(new TypeError("x is not a function"))]
	] as const)
		it(`ends with a mistake ${what}`, () => assert.rejects(waited(error), error));
});
