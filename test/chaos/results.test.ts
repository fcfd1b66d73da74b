import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { embeddedFaults, meshFaults } from "./faults.ts";

it("results.md tells of each fault what the drill does, and for how long", () => {
	const parts = readFileSync("test/chaos/results.md", "utf8").split("\n\n");
	const table = parts.find(part => part.startsWith("| fault |")) ?? "";
	const rows = [...table.matchAll(/^\| `([\w-]+)` \| (.+?) \| (\d+) \|/gm)];
	assert.deepEqual(
		rows.map(([, name, what, seconds]) => ({ name, what, seconds: Number(seconds) })),
		[...meshFaults, ...embeddedFaults].map(({ name, what, seconds }) => ({ name, what, seconds }))
	);
});
