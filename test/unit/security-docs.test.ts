import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

const document = readFileSync("docs/security.md", "utf8");
const rowsOf = (heading: string) => {
	const section = document.split(/^## /m).find(text => text.startsWith(heading)) ?? "";
	return section
		.split("\n")
		.filter(line => line.startsWith("| ") && !line.startsWith("| ---"))
		.slice(1);
};

describe("docs/security.md", () => {
	for (const heading of ["Threats", "OWASP"])
		it(`names a test that exists in every row of "${heading}"`, () => {
			const rows = rowsOf(heading);
			assert.ok(rows.length >= 10);
			for (const row of rows) {
				const tests = [...row.matchAll(/`(test\/[\w./-]+\.test\.ts)`/g)].map(([, file]) => file as string);
				assert.ok(tests.length > 0, row);
				for (const file of tests) assert.match(readFileSync(file, "utf8"), /\bit\(/, file);
			}
		});

	it("has all ten items of OWASP's list, and a test says which it tries", () => {
		const items = rowsOf("OWASP").map(row => /^\| (API\d+)/.exec(row)?.[1]);
		assert.deepEqual(
			items,
			Array.from({ length: 10 }, (_, i) => `API${i + 1}`)
		);
	});
});
