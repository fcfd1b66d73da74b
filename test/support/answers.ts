import assert from "node:assert/strict";
import type { FieldError } from "../../lib/errors.ts";
import type { Answer } from "./client.ts";

/** The failures of the HTTP contract: status and code. */
export const failures = {
	broken: [500, 10001],
	unavailable: [503, 10001],
	late: [504, 10001],
	unreadable: [400, 10002],
	tooLarge: [413, 10002],
	mediaType: [415, 10002],
	invalid: [422, 10002],
	taken: [409, 10003],
	unauthorized: [401, 10004],
	forbidden: [403, 10005],
	absent: [404, 10006],
	method: [405, 10006],
	tooMany: [429, 10007],
	stale: [409, 10008]
} as const;

/** Asserts a success with its envelope and headers, and gives its data. */
export function assertSuccess<T = unknown>(answer: Answer, status: 200 | 201 | 202 = 200): T {
	assert.deepEqual([answer.status, answer.body.code, answer.body.message], [status, 0, "Success"], answer.text);
	assert.ok("data" in answer.body);
	assertHeaders(answer);
	return answer.body.data;
}

/** Asserts a failure with its envelope and headers: nothing more than code, message and data, and no data but what the contract says. */
export function assertFailure(answer: Answer, failure: keyof typeof failures): void {
	assert.deepEqual([answer.status, answer.body.code], failures[failure], answer.text);
	assert.deepEqual(Object.keys(answer.body), ["code", "message", "data"]);
	assert.ok(answer.body.message.length > 0);
	if (answer.body.code === 10002) assert.ok(Array.isArray((answer.body.data as { errors: unknown }).errors));
	else if (failure !== "stale") assert.equal(answer.body.data, null);
	if (answer.status === 401) assert.equal(answer.headers["www-authenticate"], "Bearer");
	if (answer.status === 503) assert.match(String(answer.headers["retry-after"]), /^[1-9]\d*$/);
	assertHeaders(answer);
}

/** Asserts a 422 that names exactly these fields, each with a type and a message. */
export function assertInvalid(answer: Answer, ...fields: string[]): void {
	assertFailure(answer, "invalid");
	const { errors } = answer.body.data as { errors: FieldError[] };
	assert.deepEqual([...new Set(errors.map(error => error.field))].sort(), fields.sort(), answer.text);
	for (const error of errors) {
		assert.deepEqual(Object.keys(error), ["field", "type", "message"]);
		assert.ok(error.type && error.message, answer.text);
	}
}

function assertHeaders({ headers }: Answer): void {
	assert.equal(headers["content-type"], "application/json; charset=utf-8");
	assert.match(String(headers["x-request-id"]), /^[0-9a-f]{32}$/);
}
