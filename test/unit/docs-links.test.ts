import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import packageJson from "../../package.json" with { type: "json" };
import { fences } from "../support/markdown.ts";

// As git sees the tree, so that generated and ignored files do not count.
const tracked = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" }).split("\n");
const documents = tracked.filter(file => file.endsWith(".md") && existsSync(file));
const folders = new Set(tracked.filter(file => file.includes("/")).map(file => file.split("/")[0] as string));

/** The anchor that a heading gets on GitHub. */
function anchorOf(heading: string): string {
	return heading
		.toLowerCase()
		.replace(/[^\p{L}\p{N}\s_-]/gu, "")
		.replaceAll(" ", "-");
}

function anchorsOf(file: string): string[] {
	return [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string));
}

function brokenLinks(file: string): string[] {
	const targets = [...readFileSync(file, "utf8").matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string);
	return targets
		.filter(target => !/^[a-z]+:/.test(target))
		.filter(target => {
			const [path, anchor] = target.split("#") as [string, string?];
			const linked = path ? join(dirname(file), path) : file;
			return !existsSync(linked) || (anchor !== undefined && !anchorsOf(linked).includes(anchor));
		});
}

/** Paths in code style that start in a folder of ours, but for patterns and for files that the document itself makes. */
function missingPaths(file: string): string[] {
	const text = readFileSync(file, "utf8");
	const made = fences(text).map(fence => fence.file);
	const prose = text.replace(/^```[\s\S]*?^```$/gm, "");
	const paths = [...prose.matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map(([, path]) => path as string);
	return paths.filter(path => folders.has(path.split("/")[0] as string) && !made.includes(path) && !existsSync(path));
}

function missingScripts(file: string): string[] {
	const named = [...readFileSync(file, "utf8").matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name as string);
	return named.filter(name => !Object.hasOwn(packageJson.scripts, name));
}

describe("The documents", () => {
	it("are all looked at", () => {
		for (const file of ["README.md", "CHANGELOG.md", "docs/glossary.md", "docs/operations.md"])
			assert.ok(documents.includes(file), file);
	});

	for (const file of documents)
		it(`link to nothing that is not there: ${file}`, () => {
			assert.deepEqual(brokenLinks(file), []);
		});

	for (const file of documents)
		it(`name no file and no npm script that is not there: ${file}`, () => {
			assert.deepEqual({ paths: missingPaths(file), scripts: missingScripts(file) }, { paths: [], scripts: [] });
		});

	it("have one decision a file, numbered without gaps", () => {
		const decisions = documents.filter(file => file.startsWith("docs/adr/")).sort();
		decisions.forEach((file, i) => {
			const number = String(i + 1).padStart(4, "0");
			assert.match(file, new RegExp(`^docs/adr/${number}-[a-z-]+\\.md$`));
			assert.match(readFileSync(file, "utf8"), new RegExp(`^# ${number} `));
		});
	});
});
