import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Context } from "moleculer";
import { recordOf } from "../../mixins/audit/record.ts";

const rule = { object: "note", id: "id", details: ["title"] };
const contextOf = (text: string) =>
	({ params: { id: text, title: text }, meta: {}, requestID: text }) as unknown as Context;

describe("The record of an action", () => {
	const texts: [what: string, text: string][] = [
		["half a character", "a\ud83d"],
		["a character that its longest text cuts in two", `${"x".repeat(63)}😀`],
		["a character that its longest detail cuts in two", `${"x".repeat(255)}😀`]
	];
	for (const [what, text] of texts)
		it(`holds well-formed Unicode only, also of ${what}`, () => {
			const { object_id, error, request_id, details } = recordOf(contextOf(text), rule, { error: { type: text } });
			const kept = [object_id, error, request_id, details.title].map(String);
			assert.deepEqual(
				kept.filter(value => Buffer.from(value).toString() !== value),
				[]
			);
			assert.deepEqual(
				kept.map(value => value.slice(0, 1)),
				kept.map(() => text.slice(0, 1))
			);
		});
});
