import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Errors } from "moleculer";
import { failure } from "../../services/api/envelope.ts";
import { noteError } from "../../services/note/note.contract.ts";
import { userError } from "../../services/user/user.contract.ts";

const bodyParserError = (status: number, message: string) => Object.assign(new Error(message), { status });

describe("failure()", () => {
	const cases: [what: string, error: unknown, status: number, code: number][] = [
		["a taken name", userError("USERNAME_TAKEN"), 409, 10003],
		["a stale version", noteError("NOTE_VERSION_CONFLICT"), 409, 10008],
		["a missing note", noteError("NOTE_NOT_FOUND"), 404, 10006],
		["wrong credentials", userError("WRONG_CREDENTIALS"), 401, 10004],
		["a refused permission", new Errors.MoleculerClientError("no", 403, "X"), 403, 10005],
		["too many requests", new Errors.MoleculerClientError("slow", 429, "X"), 429, 10007],
		["a broken rule", new Errors.ValidationError("bad", "VALIDATION_ERROR", []), 422, 10002],
		["a body that cannot be read", bodyParserError(400, "bad json"), 400, 10002],
		["a body that is too large", bodyParserError(413, "large"), 413, 10002],
		["a missing service", new Errors.ServiceNotFoundError({ action: "note.get" }), 503, 10001],
		["a service without nodes", new Errors.ServiceNotAvailableError({ action: "note.get" }), 503, 10001],
		["a time-out", new Errors.RequestTimeoutError({ action: "note.get", nodeID: "n" }), 504, 10001],
		["a call that came too late", new Errors.RequestSkippedError({ action: "note.get", nodeID: "n" }), 504, 10001],
		["a node with too much to do", new Errors.QueueIsFullError({ action: "note.get", nodeID: "n" }), 503, 10001],
		["a node that has lost NATS", new Errors.MoleculerRetryableError("gone", 502, "BAD_GATEWAY"), 503, 10001],
		["a bug", new TypeError("x is not a function"), 500, 10001],
		["an unknown client code", new Errors.MoleculerClientError("teapot", 418, "TEAPOT"), 500, 10001],
		["something that is no error", "boom", 500, 10001],
		["nothing", undefined, 500, 10001]
	];
	for (const [what, error, status, code] of cases)
		it(`answers ${what} with ${status} and ${code}`, () => {
			const answer = failure(error);
			assert.deepEqual({ status: answer.status, code: answer.body.code }, { status, code });
		});

	it("keeps our faults to itself", () => {
		const { body } = failure(new Error("ER_ACCESS_DENIED for root@db.internal"));
		assert.deepEqual(body, { code: 10001, message: "Internal error", data: null });
	});

	it("says when to come back", () => {
		assert.equal(failure(new Errors.ServiceNotFoundError({ action: "a" })).headers["Retry-After"], "1");
	});

	it("names a hundred broken rules at most", () => {
		const rules = Array.from({ length: 1000 }, (_, i) => ({ field: `f${i}`, type: "required", message: "x" }));
		const error = new Errors.ValidationError("bad", "VALIDATION_ERROR", rules);
		assert.equal((failure(error).body.data as { errors: unknown[] }).errors.length, 100);
	});

	it("shows no refused value", () => {
		const rule = { type: "stringMin", field: "password", message: "too short" };
		const error = new Errors.ValidationError("bad", "VALIDATION_ERROR", [{ ...rule, actual: "s3cret", expected: 6 }]);
		assert.deepEqual(failure(error).body.data, { errors: [rule] });
	});
});
