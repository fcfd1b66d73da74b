import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { describe, it } from "node:test";

/** A source file: where it stands and what it imports of ours. */
interface Source {
	file: string;
	text: string;
	imports: string[];
}

// As git sees the tree, so that generated and ignored files do not count.
const sources: Source[] = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.ts"], { encoding: "utf8" })
	.split("\n")
	.filter(Boolean)
	.map(file => {
		const text = readFileSync(file, "utf8");
		const imported = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, path]) => path as string);
		return { file, text, imports: imported.map(path => normalize(join(dirname(file), path))) };
	});

const within = (folder: string) => sources.filter(source => source.file.startsWith(`${folder}/`));
const top = (file: string) => file.split("/")[0];

/** Collects every import that a rule does not allow, so that one run names them all. */
function violations(files: Source[], allowed: (imported: string, file: string) => boolean): string[] {
	return files.flatMap(({ file, imports }) =>
		imports.filter(path => !allowed(path, file)).map(path => `${file} -> ${path}`)
	);
}

describe("The import rules", () => {
	it("a service imports its own folder, lib, mixins, models and other services' contracts only", () => {
		const bad = violations(within("services"), (path, file) => {
			const own = file.split("/").slice(0, 2).join("/");
			return (
				path.startsWith(`${own}/`) ||
				["lib", "mixins", "models"].includes(top(path) as string) ||
				path === "package.json" ||
				(top(path) === "services" && path.endsWith(".contract.ts"))
			);
		});
		assert.deepEqual(bad, []);
	});

	it("a service imports its own models only: each model's first line names its owner", () => {
		const bad = violations(within("services"), (path, file) => {
			if (!path.endsWith(".model.ts")) return true;
			const owner = /^\/\/ Owner: the (\w+) service/.exec(readFileSync(path, "utf8").split("\n")[0] as string)?.[1];
			return owner === file.split("/")[1];
		});
		assert.deepEqual(bad, []);
	});

	it("a domain file imports its own contract, how lists are paged and how texts are compared, and nothing that does input or output", () => {
		const domains = sources.filter(source => source.file.endsWith(".domain.ts"));
		const bad = violations(
			domains,
			(path, file) =>
				["lib/paging.ts", "lib/fold.ts"].includes(path) ||
				basename(path) === basename(file).replace(".domain.", ".contract.")
		);
		assert.deepEqual(bad, []);
		for (const { file, text } of domains)
			assert.doesNotMatch(text, /from "(moleculer|sequelize|node:(fs|net|http))/, file);
	});

	it("lib and models import nothing of ours but themselves; a migration also the tables that a mixin brings", () => {
		for (const folder of ["lib", "models"])
			assert.deepEqual(
				violations(
					within(folder),
					(path, file) =>
						top(path) === folder ||
						(file.startsWith("models/migrations/") && /^mixins\/\w+\/migrations\.ts$/.test(path))
				),
				[]
			);
	});

	it("a mixin can be lifted: it imports its own files only", () => {
		assert.deepEqual(
			violations(within("mixins"), path => top(path) === "mixins"),
			[]
		);
	});

	it("the mixins type-check by themselves: no type that is declared elsewhere", () => {
		const { status, stdout } = spawnSync("node_modules/.bin/tsc", ["--project", "mixins"], { encoding: "utf8" });
		assert.deepEqual([status, stdout], [0, ""]);
	});
});

describe("The house rules", () => {
	it("the environment is read in lib/env.ts only", () => {
		const readers = sources.filter(({ file, text }) => !/^(test|bench)\//.test(file) && /process\.env\b/.test(text));
		const allowed = ["lib/env.ts", ...within("scripts").map(source => source.file)];
		assert.deepEqual(
			readers.map(source => source.file).filter(file => !allowed.includes(file)),
			[]
		);
	});

	it("no type checking is switched off", () => {
		const rules = sources.filter(({ file }) => file !== "test/architecture.test.ts");
		const bad = rules.filter(({ text }) => /@ts-(ignore|nocheck)|\bas any\b|: any\b/.test(text));
		assert.deepEqual(
			bad.map(source => source.file),
			[]
		);
	});

	it("every parameter schema of a contract is strict", () => {
		for (const { file, text } of sources.filter(source => source.file.endsWith(".contract.ts"))) {
			const schemas = [...text.matchAll(/export const (\w+) = \{([^}]*)/g)].filter(
				([, name]) => !name?.endsWith("Result")
			);
			for (const [, name, body] of schemas) assert.match(body as string, /\$\$strict: true/, `${name} in ${file}`);
		}
	});
});
