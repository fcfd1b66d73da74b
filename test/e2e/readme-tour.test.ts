import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { fences, section } from "../support/markdown.ts";
import { spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";
import { openTerminal } from "../support/terminal.ts";

const DEFAULT_URL = "http://localhost:8080";
/** What differs from run to run: only its presence and type are compared. */
const VOLATILE = new Set([
	"token",
	"refresh_token",
	"expire",
	"create_time",
	"update_time",
	"entry_id",
	"time",
	"request_id",
	"trace_id"
]);

/** A command block and the answers that the README shows below it, one a line. */
interface Step {
	commands: string;
	answers: string[];
}

const readme = readFileSync("README.md", "utf8");
const blocks = fences(section(readme, "## A five-minute tour"));
const steps: Step[] = blocks.flatMap(({ language, text }, i) => {
	const next = blocks[i + 1];
	const answers = next?.language === "json" ? next.text.trim().split("\n") : [];
	return language === "sh" ? [{ commands: text, answers }] : [];
});

/** Runs all steps in one shell, as a reader would, against another address. Returns what each printed. */
async function run(url: string): Promise<string[]> {
	const separator = "--- next step ---";
	const script = steps.map(({ commands }) => commands).join(`\necho '${separator}'\n`);
	// curl prints no line break behind an answer; a reader's terminal does not mind. A registration that takes longer than
	// two seconds is answered with the id of its saga; asked again with the same key, it is waited for.
	// The audit log is told after the answer.
	const curl = `curl() {
		local answer key=tour-$RANDOM$RANDOM
		while answer=$(command curl -H "Idempotency-Key: $key" "$@"); [[ $answer == *'"gid"'* || $answer == *'"entries":[]'* ]]
		do :; done
		echo "$answer"
	}\n`;
	const { stdout } = await promisify(execFile)("bash", ["-euc", curl + script.replaceAll(DEFAULT_URL, url)]);
	return stdout.split(separator);
}

function comparable(answer: string): unknown {
	return JSON.parse(answer, (name, value) => (VOLATILE.has(name) ? typeof value : value));
}

describe("The five-minute tour of the README", await requireServers("curl"), () => {
	it("answers what the README shows, word for word but for tokens and times", async t => {
		const dataDir = mkdtempSync(join(tmpdir(), "notemesh-tour-"));
		t.after(() => rmSync(dataDir, { recursive: true, force: true }));
		await using node = spawnNode({
			args: [
				"node_modules/moleculer/bin/moleculer-runner.mjs",
				"--config",
				"moleculer.config.ts",
				"--mask",
				"**/*.service.ts",
				"services"
			],
			env: { DATA_DIR: dataDir, PORT: "0", HOST: "127.0.0.1" }
		});
		const [, port] = await node.waitForLine(/ready on http:\/\/localhost:(\d+)/);

		const printed = await run(`http://127.0.0.1:${port}`);
		assert.equal(printed.length, steps.length);
		assert.ok(steps.length >= 6);
		for (const [i, { commands, answers }] of steps.entries()) {
			const lines = (printed[i] as string).split("\n").filter(line => line.startsWith("{"));
			assert.deepEqual(lines.map(comparable), answers.map(comparable), commands);
		}
	});
});

describe("The REPL commands of the README", () => {
	it("are understood, on a platform without users and notes", async t => {
		const DATA_DIR = mkdtempSync(join(tmpdir(), "notemesh-repl-"));
		t.after(() => rmSync(DATA_DIR, { recursive: true, force: true }));
		const lines = [...section(readme, "## REPL").matchAll(/^notemesh \$ (.*)$/gm)].map(([, line]) => line as string);
		const answers = [
			/Node ID/,
			/Response:\s+\{ total: 0/,
			/No user is called "lorain"/,
			/0 sagas of user/,
			/log is empty/,
			/log is empty/,
			/No dead letters/
		];
		assert.equal(lines.length, answers.length);

		const PATH = process.env.PATH as string;
		const terminal = openTerminal("npm start --silent -- --repl", { DATA_DIR, PORT: "0", PATH });
		await terminal.waitFor(/notemesh \$/);
		for (const [i, line] of lines.entries()) await terminal.type(line, answers[i]);
		await terminal.type("log level debug note", /The log level of note is debug now, on all nodes/);
		assert.equal(await terminal.leave("quit"), 0);
	});
});
