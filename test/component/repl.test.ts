import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { sagaCommand } from "../../mixins/saga/repl.ts";
import type { AuditPage } from "../../services/audit/audit.contract.ts";
import { auditCommand } from "../../services/audit/audit.repl.ts";
import { lettersCommand } from "../../services/letter/letter.repl.ts";
import { notesCommand } from "../../services/note/note.repl.ts";
import { type App, newAdmin, startSplitApp, useEnvironment } from "../support/app.ts";
import { printed } from "../support/repl.ts";
import { until } from "../support/until.ts";

useEnvironment();

interface Command {
	command: string;
	action(broker: ServiceBroker, args: unknown): Promise<void>;
}

const commands = new Map<string, Command>(
	[notesCommand, auditCommand, lettersCommand, sagaCommand].map(one => [one.command.split(" ")[0] as string, one])
);

describe("The commands of the REPL", () => {
	let app: App;
	before(async () => {
		app = await startSplitApp({ after: () => {} });
	});
	after(() => app.stop());

	/** Types a line, options as `--name value`, on another node than that of the services. */
	const type = (line: string) => {
		const [words = "", ...given] = line.split(" --");
		const [name = "", ...operands] = words.split(" ");
		const { command, action } = commands.get(name) as Command;
		const names = [...command.matchAll(/[<[](\w+)/g)].map(([, operand]) => operand);
		const args = Object.fromEntries(operands.slice(0, names.length).map((operand, i) => [names[i], operand]));
		const options = Object.fromEntries(given.map(option => option.split(" ")));
		return printed(() => action(app.broker, { ...args, options, rawCommand: line }));
	};

	it("notes finds a user however their name is written", async () => {
		const { token, user_id } = await app.client.newUser("Lorain");
		await app.client.newNote(token);
		for (const name of ["Lorain", "LORAIN"])
			assert.match(await type(`notes ${name}`), new RegExp(`^1 notes of Lorain \\(user ${user_id}\\)`));
		assert.equal(await type("notes nobody"), 'No user is called "nobody".');
	});

	const refused: [line: string, answer: RegExp][] = [
		["notes lorain --limit abc", /^--limit takes a whole number\.$/],
		["notes lorain --limit 1000", /^The 'limit' field must be less than or equal to 100\.$/],
		["audit tail --limit abc", /^--limit takes a whole number\.$/],
		["letters show nope", /^letters list \| show <id> \| replay <id\|all> \| discard <id>$/],
		["letters discard", /^letters list \|.*$/],
		["letters discard all", /^letters list \|.*$/],
		["letters show 7", /^Dead letter not found$/],
		["saga list --status foo", /^The 'status' field must be one of: submitted, aborting, succeed, failed\.$/],
		["saga list --limit abc", /^The 'limit' field must be a number\.$/],
		["saga show g*1", /^The 'gid' field fails to match the required pattern\.$/],
		["saga show other", /^No saga is called "other"\.$/]
	];
	for (const [line, answer] of refused)
		it(`says in one line what is wrong with: ${line}`, async () => {
			assert.match(await type(line), answer);
		});

	it("saga is recorded as user 0", async () => {
		await app.client.newUser();
		const { sagas } = (await app.worker.call("user.saga.list", { limit: 1 })) as { sagas: [{ gid: string }] };
		const { gid } = sagas[0];
		assert.equal(await type(`saga retry ${gid} the database is back`), "The saga has finished");

		const { token } = await newAdmin(app);
		await until("the refusal is in the log", async () => {
			const answer = await app.client.send("GET", `/v1/audit?object_type=saga&object_id=${gid}`, { token });
			const { entries } = answer.body.data as AuditPage;
			const said = entries.map(({ action, user_id, error }) => `${action} by ${user_id}: ${error}`);
			return said.includes("user.saga.retry by 0: SAGA_FINISHED");
		});
	});
});
