import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fits, overlap } from "../../../mixins/channels/transport.ts";

describe("Two patterns of subjects", () => {
	const cases: [one: string, other: string, expected: boolean][] = [
		["a", "a", true],
		["a", "b", false],
		["a", "a.b", false],
		["a.*", "*.b", true],
		["a.*", "b.*", false],
		["a.*", "a", false],
		["a.*", "a.b.c", false],
		["a.>", "a", false],
		["a.>", "a.*", true],
		["a.>", "*.b.c", true],
		["a.>", "b.>", false],
		["a.b.>", "a.*", false],
		[">", "a", true],
		[">", "*.b.c", true],
		[">", ">", true],
		["*", ">", true],
		["*", "a.>", false]
	];
	for (const [one, other, expected] of cases)
		it(`${one} and ${other} ${expected ? "have a subject in common" : "have none"}`, () => {
			assert.deepEqual([overlap(one, other), overlap(other, one)], [expected, expected]);
		});

	/** All lists of 1 to `length` tokens. */
	const lists = (tokens: string[], length: number): string[] =>
		length === 0
			? []
			: [...tokens, ...lists(tokens, length - 1).flatMap(rest => tokens.map(token => `${token}.${rest}`))];

	it("have one in common where, of all short subjects, one fits both", () => {
		const heads = lists(["a", "b", "*"], 3);
		const patterns = [...heads, ">", ...heads.map(head => `${head}.>`)];
		const subjects = lists(["a", "b", "c"], 4);
		const fitting = new Map(patterns.map(pattern => [pattern, subjects.filter(subject => fits(pattern, subject))]));
		for (const [one, ofOne] of fitting) {
			const known = new Set(ofOne);
			for (const [other, ofOther] of fitting)
				assert.equal(overlap(one, other), !known.isDisjointFrom(new Set(ofOther)), `${one} and ${other}`);
		}
	});
});
