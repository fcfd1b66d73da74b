import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseEnv } from "node:util";
import { readEnv, variables } from "../../lib/env.ts";
import { documents, withVariables } from "../../scripts/env-docs.ts";

const names = Object.keys(variables);

describe("The documented variables", () => {
	for (const [file, document] of Object.entries(documents))
		it(`are those of lib/env.ts in ${file}, with the same defaults, meanings and order`, () => {
			const text = readFileSync(file, "utf8");
			assert.equal(text, withVariables(text, document), `${file} is behind lib/env.ts: npm run docs:env`);
		});

	it("are each there once in .env.example, and the file as it is changes nothing", () => {
		const text = readFileSync(".env.example", "utf8");
		const set = [...text.matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
		assert.deepEqual(set.slice(-names.length), names);
		assert.equal(new Set(set).size, set.length);
		const values = parseEnv(text);
		assert.deepEqual(readEnv({ ...values }), readEnv({}));
	});

	it("are explained line by line in .env.example", () => {
		const lines = readFileSync(".env.example", "utf8").split("\n");
		lines.forEach((line, i) => {
			if (/^[A-Z_]+=/.test(line)) assert.match(lines[i - 1] as string, /^# \S/, line);
		});
	});

	it("are refused to be put into a text without the markers", () => {
		const document = documents["README.md"];
		assert.ok(document);
		assert.throws(() => withVariables("no marker", document), /A marker is missing/);
		assert.throws(() => withVariables(document.begin, document), /A marker is missing/);
	});
});
