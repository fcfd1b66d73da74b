import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Errors } from "moleculer";
import { pause } from "../../../mixins/saga/backoff.ts";
import { defineSaga, type SagaDefinition } from "../../../mixins/saga/definition.ts";
import { reasonOf, sagaFailure, sagaOngoing, verdictOf } from "../../../mixins/saga/errors.ts";
import { parentOf, traceparentOf } from "../../../mixins/saga/trace.ts";

const step = (name: string, after?: string[]) => ({ name, action: `${name}.do`, ...(after && { after }) });
const definition = (over: Partial<SagaDefinition<object>>) => ({
	name: "trip",
	version: 1,
	steps: [step("a")],
	...over
});

describe("defineSaga()", () => {
	it("puts each step after the one above it", () => {
		const { steps } = defineSaga(definition({ steps: [step("a"), step("b"), step("c")] }));
		assert.deepEqual(
			steps.map(({ index, after }) => [index, after]),
			[
				[0, []],
				[1, ["a"]],
				[2, ["b"]]
			]
		);
	});
	it("keeps an order that is spelt out", () => {
		const { steps } = defineSaga(definition({ steps: [step("a"), step("b", []), step("c", ["a", "b"])] }));
		assert.deepEqual(
			steps.map(({ after }) => after),
			[[], [], ["a", "b"]]
		);
	});

	const refused: [what: string, over: Partial<SagaDefinition<object>>, message: RegExp][] = [
		["no step", { steps: [] }, /there is no step/],
		["two steps of one name", { steps: [step("a"), step("a")] }, /two steps 'a'/],
		["an order that names no step", { steps: [step("a", ["x"])] }, /'a' comes after 'x'/],
		["an order that names a step below, as a circle must", { steps: [step("a", ["b"]), step("b")] }, /not above it/],
		["a step's name that is too long", { steps: [step("a".repeat(65))] }, /not a step's name/],
		["a name that could not be stored", { name: "a trip" }, /a name has 1 to 64/],
		["version 0", { version: 0 }, /positive integer/]
	];
	for (const [what, over, message] of refused)
		it(`refuses ${what}`, () => {
			assert.throws(() => defineSaga(definition(over)), message);
		});
});

describe("R6: verdictOf()", () => {
	const { MoleculerError, MoleculerClientError, ValidationError } = Errors;
	const cases: [what: string, error: unknown, verdict: string][] = [
		["SAGA_FAILURE", sagaFailure("no"), "failure"],
		["SAGA_FAILURE from another node, where its class is lost", { type: "SAGA_FAILURE", code: 409 }, "failure"],
		["a participant's own 409", new MoleculerClientError("taken", 409, "NAME_TAKEN"), "failure"],
		["a validation error", new ValidationError("no", "VALIDATION_ERROR", []), "failure"],
		["SAGA_ONGOING", sagaOngoing(), "ongoing"],
		["a missing service", new Errors.ServiceNotFoundError({ action: "a.b" }), "retry"],
		["a service that is not available", new Errors.ServiceNotAvailableError({ action: "a.b" }), "retry"],
		["a time-out", new Errors.RequestTimeoutError({ action: "a.b" }), "retry"],
		["a request that was rejected", new Errors.RequestRejectedError({ action: "a.b" }), "retry"],
		["a full queue", new Errors.QueueIsFullError({ action: "a.b" }), "retry"],
		["a server error", new MoleculerError("oops", 500), "retry"],
		["a 404", new MoleculerClientError("gone", 404, "GONE"), "retry"],
		["a deadlock", Object.assign(new Error("Deadlock"), { parent: { errno: 1213 } }), "retry"],
		["a duplicate key", Object.assign(new Error("dup"), { name: "SequelizeUniqueConstraintError" }), "retry"],
		["a bug", new TypeError("x is not a function"), "retry"],
		["something that is no error", "oops", "retry"],
		["nothing", undefined, "retry"]
	];
	for (const [what, error, verdict] of cases)
		it(`takes ${what} for ${verdict}`, () => {
			assert.equal(verdictOf(error), verdict);
		});
	it("keeps of an error its type and message, and not its data", () => {
		const error = new MoleculerClientError("taken", 409, "NAME_TAKEN", { password: "secret" });
		assert.deepEqual(reasonOf(error, "user"), { type: "NAME_TAKEN", message: "taken", step: "user" });
	});
});

describe("R7: pause()", () => {
	const longest = (attempts: number) => pause(attempts, { base: 200, cap: 300_000 }, () => 1);
	it("doubles its bound from 0.2 s and stays at the cap of 5 minutes", () => {
		assert.deepEqual([1, 2, 3, 4, 11, 12, 2000].map(longest), [200, 400, 800, 1600, 204_800, 300_000, 300_000]);
	});
	it("takes a random part of the bound, nothing included", () => {
		assert.equal(
			pause(3, { base: 200, cap: 300_000 }, () => 0.5),
			400
		);
		assert.equal(
			pause(3, { base: 200, cap: 300_000 }, () => 0),
			0
		);
	});
});

describe("traceparentOf()", () => {
	const requestID = "0af7651916cd43dd8448eb211c80319c";
	const id = "b7ad6b71-6920-3331-aaaa-000000000000";
	it("makes a W3C trace context of moleculer's ids, and parentOf() reads it back", () => {
		const text = traceparentOf({ requestID, id, tracing: true });
		assert.equal(text, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
		assert.deepEqual(parentOf(text), { traceID: requestID, id: "b7ad6b7169203331", sampled: true });
	});
	it("gives nothing for ids of another form", () => {
		assert.equal(traceparentOf({ requestID: "x", id }), null);
		assert.equal(parentOf("00-xyz"), undefined);
		assert.equal(parentOf(null), undefined);
	});
});
