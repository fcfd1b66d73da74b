import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fold } from "../../lib/fold.ts";

describe("fold()", () => {
	it("makes texts equal that differ in case or composition only", () => {
		assert.equal(fold("ÄÖÜ É"), fold("äöü e\u0301"));
		assert.equal(fold("JOSÉ"), fold("jose\u0301"));
		assert.equal(fold("J\u030c"), fold("ǰ"));
		assert.equal(fold("ΟΔΟΣ"), fold("οδοσ"));
		assert.notEqual(fold("jose"), fold("josé"));
	});
	for (const [part, text] of [
		["ΟΔΟΣ", "ΟΔΟΣΑΡΑ"],
		["οδος", "ΟΔΟΣΑΡΑ"],
		["σ", "οδος"],
		["J\u030c", "ǰ"]
	] as const)
		it(`finds ${part} in ${text}`, () => {
			assert.ok(fold(text).includes(fold(part)));
		});
	it("keeps accents and pattern characters", () => {
		assert.equal(fold("É%_\\"), "é%_\\");
		assert.notEqual(fold("e"), fold("é"));
	});
	it("gives the longest name a form that fits its column, whatever case does to it", () => {
		for (const letter of ["İ", "ΐ", "ﬃ", "😀"]) assert.ok([...fold(letter.repeat(128))].length <= 512, letter);
	});
});
