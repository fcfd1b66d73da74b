import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { refusals } from "../../../mixins/saga/errors.ts";
import { sagaCommand } from "../../../mixins/saga/repl.ts";
import { quiet } from "../../support/app.ts";
import { printed } from "../../support/repl.ts";

const saga = {
	gid: "g1",
	name: "trip",
	version: 1,
	status: "aborting",
	epoch: 3,
	owner: "node-1",
	needsAttention: true,
	payload: { who: "ann" },
	nextRunAt: "2026-11-21T00:00:00.000Z",
	createdAt: "2026-11-21T00:00:00.000Z",
	reason: { type: "SAGA_FAILURE", message: "no car" },
	steps: [{ name: "car", action: "failed", compensation: "prepared", attempts: 5, lastError: { message: "down" } }],
	timeline: [{ at: "2026-11-21T00:00:01.000Z", what: "aborting", step: "car", actor: "node-1", reason: "no car" }]
};
const OPERATOR = JSON.stringify({ user: { id: 0, role: "admin", session_id: "repl" } });
const broker = new ServiceBroker(quiet());
const asked: [string, unknown][] = [];
const asOperator: string[] = [];
const note = (verb: string, answer: unknown) => (ctx: { params: { gid?: string }; meta: object }) => {
	asked.push([verb, ctx.params]);
	if (JSON.stringify(ctx.meta) === OPERATOR) asOperator.push(verb);
	if (ctx.params.gid === "broken") throw new Error("The database can not be reached");
	if (ctx.params.gid && ctx.params.gid !== "g1") throw refusals.notFound();
	return answer;
};

/** Types a line and gives what it prints. */
function type(line: string, options: object = {}): Promise<string> {
	const [, verb, gid] = line.split(" ");
	return printed(() => sagaCommand.action(broker, { verb, gid, rawCommand: line, options }));
}

describe("The REPL's command saga", () => {
	before(() => {
		broker.createService({
			name: "travel",
			actions: {
				"saga.list": note("list", { sagas: [saga] }),
				"saga.get": note("get", saga),
				"saga.outcome": note("outcome", { gid: "g1" }),
				"saga.retry": note("retry", null),
				"saga.skip": note("skip", null),
				"saga.fail": note("fail", null)
			}
		});
		return broker.start();
	});
	after(() => broker.stop());

	it("lists the sagas of every service that owns some", async () => {
		const printed = await type("saga list", { status: "aborting", limit: "5" });
		assert.match(printed, /1 sagas of travel\n.*"gid":"g1".*"attention":"yes".*"reason":"no car"/);
		assert.deepEqual(asked.at(-1), ["list", { status: "aborting", limit: "5" }]);
	});
	it("shows a saga with its steps and its timeline", async () => {
		const printed = await type("saga show g1");
		assert.match(printed, /trip v1 {2}aborting {2}epoch 3 on node-1 {2}NEEDS ATTENTION/);
		assert.match(printed, /"step":"car","action":"failed","compensation":"prepared","attempts":5,"error":"down"/);
		assert.match(printed, /"what":"aborting"/);
	});
	it("says that a saga is unknown", async () => {
		assert.equal(await type("saga show other"), 'No saga is called "other".');
	});
	it("says why it can not know whether a saga is there", async () => {
		assert.equal(await type("saga show broken"), "The database can not be reached");
	});
	it("finds a saga beside an owner that does not answer", async t => {
		const down = () => {
			throw new Error("The database can not be reached");
		};
		const owner = broker.createService({ name: "away", actions: { "saga.outcome": down, "saga.get": down } });
		t.after(() => broker.destroyService(owner));
		await broker.waitForServices("away");
		assert.match(await type("saga show g1"), /^trip v1/);
		assert.equal(await type("saga show other"), "The database can not be reached");
	});
	it("says that nobody owns sagas", async t => {
		const alone = new ServiceBroker(quiet());
		t.after(() => alone.stop());
		await alone.start();
		for (const verb of ["list", "show"]) {
			const args = { verb, gid: "g1", rawCommand: `saga ${verb} g1`, options: {} };
			assert.equal(await printed(() => sagaCommand.action(alone, args)), "No node runs a service that owns sagas.");
		}
	});
	for (const [line, verb, params] of [
		["saga retry g1 the car is back", "retry", { gid: "g1", reason: "the car is back" }],
		["saga fail g1 enough", "fail", { gid: "g1", reason: "enough" }],
		["saga skip g1 car it was returned by hand", "skip", { gid: "g1", step: "car", reason: "it was returned by hand" }]
	] as const)
		it(`intervenes as user 0, with a reason: ${line}`, async () => {
			await type(line);
			assert.equal(asOperator.at(-1), verb);
			assert.deepEqual(
				asked.findLast(([name]) => name === verb),
				[verb, params]
			);
		});
	for (const line of ["saga retry g1", "saga skip g1 car", "saga fail", "saga drop g1 now"])
		it(`tells how it is used, and changes nothing, for: ${line}`, async () => {
			const before = asked.filter(([verb]) => ["retry", "skip", "fail"].includes(verb)).length;
			assert.match(await type(line), /saga skip <gid> <step> <reason/);
			assert.equal(asked.filter(([verb]) => ["retry", "skip", "fail"].includes(verb)).length, before);
		});
});
