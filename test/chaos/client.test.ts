import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Answer } from "../support/client.ts";
import { judge } from "./client.ts";

function answer(status: number, body: object | string, headers: Record<string, string> = {}): Answer {
	const text = typeof body === "string" ? body : JSON.stringify(body);
	const usual = { "content-type": "application/json; charset=utf-8", "x-request-id": "0".repeat(32) };
	return {
		status,
		text,
		headers: { ...usual, ...headers },
		body: typeof body === "string" ? (null as never) : (body as never)
	};
}

describe("The judge of answers of the chaos run", () => {
	const failure = (code: number) => ({ code, message: "m", data: null });

	it("takes a success for done, with its data", () => {
		assert.deepEqual(judge(answer(201, { code: 0, message: "Success", data: { note_id: 1 } })), {
			outcome: "done",
			status: 201,
			data: { note_id: 1 }
		});
	});

	for (const [status, code, outcome, headers] of [
		[503, 10_001, "unknown", { "retry-after": "1" }],
		[504, 10_001, "unknown", {}],
		[500, 10_001, "unknown", {}],
		[404, 10_006, "refused", {}],
		[409, 10_008, "refused", {}]
	] as const)
		it(`takes ${status} with code ${code} for ${outcome}`, () => {
			assert.deepEqual(judge(answer(status, failure(code), headers)), { outcome, status });
		});

	for (const [what, wrong] of [
		["a status that is not documented", answer(502, failure(10_001))],
		["a code that does not belong to its status", answer(503, failure(10_002), { "retry-after": "1" })],
		["a 503 without Retry-After", answer(503, failure(10_001))],
		["a body that is no envelope", answer(500, "Internal Server Error")],
		["more in the envelope than it may hold", answer(500, { ...failure(10_001), stack: "at x" })],
		["a success without its envelope", answer(200, { note_id: 1 })],
		["an answer without a request id", answer(504, failure(10_001), { "x-request-id": "" })]
	] as const)
		it(`objects to ${what}`, () => {
			const { outcome, breach } = judge(wrong);
			assert.equal(outcome, "unknown");
			assert.ok(breach, "no objection");
		});
});
