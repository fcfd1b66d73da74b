import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import packageJson from "../../package.json" with { type: "json" };
import { RUNNER } from "../../scripts/local-mesh.ts";

const text = readFileSync("Dockerfile", "utf8");
const instructions = text
	.split("\n")
	.filter(line => /^[A-Z]+ /.test(line))
	.map(line => line.split(" "));
const all = (name: string) => instructions.filter(([instruction]) => instruction === name);

describe("The Dockerfile", () => {
	it("builds every stage on the same pinned slim image of the Node that the tests run on", () => {
		const [base, ...stages] = all("FROM");
		const [, image, ...name] = base as string[];
		assert.match(image as string, /^node:\d+\.\d+\.\d+-\w+-slim$/);
		assert.equal(/^node:(\d+)/.exec(image as string)?.[1], process.versions.node.split(".")[0]);
		assert.deepEqual(name, ["AS", "base"]);
		assert.equal(stages.length, 2);
		for (const [, from] of stages) assert.equal(from, "base");
	});

	it("copies what exists and what .dockerignore lets through, and nothing else gets through", () => {
		const copied = all("COPY")
			.filter(words => !words[1]?.startsWith("--from"))
			.flatMap(words => words.slice(1, -1));
		for (const path of copied) assert.ok(existsSync(path), path);

		const lines = readFileSync(".dockerignore", "utf8").split("\n");
		assert.equal(
			lines.find(line => line && !line.startsWith("#")),
			"*"
		);
		const passed = lines.filter(line => line.startsWith("!")).map(line => line.slice(1));
		assert.deepEqual(passed.sort(), [...new Set(copied)].sort());
	});

	it("copies every folder that a service needs", () => {
		for (const folder of ["lib", "mixins", "models", "services"])
			assert.match(text, new RegExp(`^COPY ${folder} `, "m"));
	});

	it("runs node itself, not as root, with a health check", () => {
		const [user] = all("USER");
		assert.equal(user?.[1], "node");
		assert.ok(instructions.indexOf(user as string[]) < instructions.indexOf(all("ENTRYPOINT")[0] as string[]));
		assert.match(text, /^ENTRYPOINT \["node"\]$/m);
		const script = /^HEALTHCHECK .* CMD \["node", "([^"]+)"\]$/m.exec(text)?.[1];
		assert.ok(script && existsSync(script));
	});

	it("starts moleculer-runner as a local mesh and the npm scripts do", () => {
		const [, json] = /^CMD (\[.*\])$/m.exec(text) ?? [];
		assert.deepEqual(JSON.parse(json as string), RUNNER);
		for (const name of ["start", "dev", "node"] as const) {
			const script = packageJson.scripts[name].replaceAll('"', "");
			assert.ok(script.includes(` ${RUNNER.join(" ")}`), script);
		}
	});

	it("leaves development packages out, and nothing in it imports one", () => {
		assert.match(text, /^RUN npm ci --omit=dev/m);
		const folders = ["lib", "mixins", "models", "scripts", "services"];
		const files = [
			"moleculer.config.ts",
			"moleculer.policies.ts",
			...folders.flatMap(folder => globSync(`${folder}/**/*.ts`))
		];
		const imported = files.flatMap(file =>
			[...readFileSync(file, "utf8").matchAll(/^(?:import|export)\b(?! type).* from "([^".][^"]*)"/gm)].map(
				([, specifier]) => specifier as string
			)
		);
		const packages = imported
			.filter(specifier => !specifier.startsWith("node:"))
			.map(specifier => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] as string);
		assert.ok(packages.includes("moleculer"));
		assert.deepEqual(
			packages.filter(name => !Object.hasOwn(packageJson.dependencies, name)),
			[]
		);
	});
});
