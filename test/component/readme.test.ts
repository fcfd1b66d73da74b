import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client } from "../support/client.ts";
import { fences, section } from "../support/markdown.ts";
import { type NodeProcess, spawnNode } from "../support/processes.ts";

const blocks = fences(section(readFileSync("README.md", "utf8"), "## Add a service")).filter(({ file }) => file);
const TREE = [
	"lib",
	"mixins",
	"models",
	"services",
	"scripts",
	"test/support",
	"moleculer.config.ts",
	"moleculer.policies.ts"
];
const SERVED = /^const served = \[([^\]]*)\]\.flat\(\);$/m;

/** A copy of the project, inside it so that packages are found, with the README's files in their places. */
function projectWithTheNewService(): string {
	mkdirSync("data", { recursive: true });
	const root = mkdtempSync(resolve("data/readme-"));
	for (const path of [...TREE, "package.json", "tsconfig.json"]) cpSync(path, join(root, path), { recursive: true });

	for (const { file, text } of blocks) {
		const target = join(root, file);
		mkdirSync(dirname(target), { recursive: true });
		writeFileSync(target, existsSync(target) ? extended(readFileSync(target, "utf8"), text) : text);
	}
	return root;
}

/** An existing file with what a block adds: an import in its place among the others, and to the list of what is served. */
function extended(source: string, block: string): string {
	const listed = (text: string): string[] => SERVED.exec(text)?.[1]?.match(/\w+/g) ?? [];
	const added = listed(block).filter(name => !listed(source).includes(name));
	assert.equal(added.length, 1);
	const line = block.split("\n").find(text => text.startsWith("import ")) as string;
	const next = source
		.split("\n")
		.find(text => /from "\.\/routes\//.test(text) && pathIn(text) > pathIn(line)) as string;
	return source
		.replace(SERVED, () => `const served = [${[...listed(source), ...added].join(", ")}].flat();`)
		.replace(next, () => `${line}\n${next}`);
}

const pathIn = (line: string) => /"(.*)"/.exec(line)?.[1] as string;

async function succeeds(node: NodeProcess): Promise<void> {
	const { code } = await node.exited;
	assert.equal(code, 0, node.output);
}

describe("The service that the README adds", () => {
	let root: string;
	before(() => {
		root = projectWithTheNewService();
	});
	after(() => rmSync(root, { recursive: true, force: true }));

	it("is made of a contract, a domain, a service, a route in the list of routes, and a test", () => {
		assert.deepEqual(
			blocks.map(({ file }) => file),
			[
				"services/stats/stats.contract.ts",
				"services/stats/stats.domain.ts",
				"services/stats/stats.service.ts",
				"services/api/routes/stats.routes.ts",
				"services/api/routes.ts",
				"test/component/stats.test.ts"
			]
		);
	});

	it("passes the type checker", async () => {
		await succeeds(spawnNode({ args: ["node_modules/typescript/bin/tsc", "-p", root] }));
	});

	it("is written as the linter asks", async () => {
		// A file that was there already is longer in a fork, where the formatter breaks other lines.
		const files = blocks.filter(({ file }) => !existsSync(file)).map(({ file }) => join(root, file));
		const biome = resolve("node_modules/@biomejs/biome/bin/biome");
		await succeeds(spawnNode({ args: [biome, "check", "--vcs-enabled=false", "--error-on-warnings", ...files] }));
	});

	it("passes its own test", async () => {
		const node = spawnNode({ args: ["--test", "test/component/stats.test.ts"], cwd: root });
		await succeeds(node);
		assert.match(node.output, /pass 1\b/);
	});

	it("answers over HTTP, and stands in the OpenAPI document", async () => {
		const runner = resolve("node_modules/moleculer/bin/moleculer-runner.mjs");
		await using node = spawnNode({
			args: [runner, "--config", "moleculer.config.ts", "--mask", "**/*.service.ts", "services"],
			cwd: root,
			env: { PORT: "0", HOST: "127.0.0.1" }
		});
		const [, port] = await node.waitForLine(/ready on http:\/\/localhost:(\d+)/);
		const client = new Client(`http://127.0.0.1:${port}`);
		const { token } = await client.newUser();
		await client.send("POST", "/v1/note", { token, json: { title: "Hello", content: "My first note" } });

		const { body } = await client.send("GET", "/v1/stats/words", { token });
		assert.deepEqual(body, { code: 0, message: "Success", data: { notes: 1, words: 3 } });
		assert.equal((await client.send("GET", "/v1/stats/words?limit=0", { token })).status, 422);
		assert.equal((await client.send("GET", "/v1/stats/words")).status, 401);
		const { checks } = (await client.send("GET", "/readyz")).body as unknown as { checks: Record<string, string> };
		assert.equal(checks.stats, "ok");
		const document = (await client.send("GET", "/openapi.json")).body as unknown as { paths: object };
		assert.ok("/v1/stats/words" in document.paths);
	});
});
