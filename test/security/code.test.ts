import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { isSafe } from "redos-detector";
import { passwordCheck } from "../../services/user/user.passwords.ts";

const files = execFileSync(
	"git",
	["ls-files", "-co", "--exclude-standard", "lib", "mixins", "models", "services", "moleculer.config.ts"],
	{ encoding: "utf8" }
)
	.split("\n")
	.filter(file => file.endsWith(".ts"));

interface Found {
	file: string;
	expression: RegExp;
}

/** The regular expressions of a source: slashes where no division can stand. Comments are left out. */
function expressionsOf(file: string): Found[] {
	const code = readFileSync(file, "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
	const literals = code.matchAll(
		/(?<=[(=,:[!&|?{;]\s*|return\s+)\/((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])*)\/([dgimsuvy]*)/g
	);
	return [...literals].map(([, source = "", flags = ""]) => ({ file, expression: new RegExp(source, flags) }));
}

const expressions = files.flatMap(expressionsOf);

describe("API4: the regular expressions of the project", () => {
	it("are found", () => {
		assert.ok(expressions.length >= 10, String(expressions.length));
		assert.ok(expressions.some(({ expression }) => expression.source.includes("Bearer")));
	});
	it("are no dynamic text: none is made from a value", () => {
		const dynamic = files.filter(file => /new RegExp\((?!")/.test(readFileSync(file, "utf8")));
		assert.deepEqual(dynamic, []);
	});
	// The mixins' see statements and configuration, which a client does not write; the next test runs them all.
	for (const { file, expression } of expressions.filter(({ file }) => !file.startsWith("mixins/")))
		it(`${expression} in ${file} takes a number of steps that grows with its input, and no faster`, () => {
			const { source, flags } = expression;
			// The detector does not know property classes; what they stand for does not matter to it, only that they are a class.
			const plain = new RegExp(source.replace(/\\[pP]\{\w+\}/g, "\\x01"), flags.replace(/[vy]/g, ""));
			assert.equal(isSafe(plain).safe, true);
		});
	it("come to an end with long input of the characters that they look for", { timeout: 60_000 }, () => {
		for (const { expression } of expressions) {
			const characters = [
				...new Set([...expression.source.replace(/[\\^$*+?()[\]{}|]/g, ""), "a", "0", " ", "=", ".", "/", "'"])
			];
			for (const character of characters)
				for (const tail of ["", "!", "\n", "\0"]) expression.test(`${character.repeat(50_000)}${tail}`);
			for (const pair of ["ab", "' ", "''", "\\'", "\\\\", "a'", "//", "a="]) {
				expression.test(pair.repeat(25_000));
				expression.test(`'${pair.repeat(25_000)}`);
			}
		}
	});
});

describe("API7: server-side request forgery", () => {
	it("has nothing to work with: no service asks another host for anything a client names", () => {
		const asking = files.filter(file =>
			/\bfetch\(|from "(node:)?(https?|http2|net|tls|dgram|undici|axios|got)"/.test(readFileSync(file, "utf8"))
		);
		const types = asking.filter(file => {
			const text = readFileSync(file, "utf8");
			const lines = text
				.split("\n")
				.filter(line => /\bfetch\(|from "(node:)?(https?|http2|net|tls|dgram|undici|axios|got)"/.test(line));
			return lines.some(line => !line.startsWith("import type") && !/\b(createServer|STATUS_CODES|isIP)\b/.test(line));
		});
		// Their hosts are those of the configuration: JAEGER_ENDPOINT, ZIPKIN_URL and NATS_URL.
		assert.deepEqual(types, ["lib/observability/post-spans.ts", "mixins/etcd-registry/nats-wait.ts"]);
	});
});

describe("API8: what could run text as code", () => {
	it("is not used", () => {
		const running = files.filter(file =>
			/\beval\(|new Function\(|node:vm|node:child_process/.test(readFileSync(file, "utf8"))
		);
		assert.deepEqual(running, []);
	});
});

describe("The check of a password", () => {
	it("does the same work for a name that nobody has: one comparison, with a hash of the same cost", async () => {
		const compared: string[] = [];
		const check = await passwordCheck(async hash => {
			compared.push(hash.toString());
			return true;
		});
		const known = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
		assert.equal(await check(known, "x"), true);
		assert.equal(await check(undefined, "x"), false, "even where the comparison says yes");
		assert.equal(compared.length, 2);
		const cost = (hash: string | undefined) => hash?.split("$").slice(0, 4).join("$");
		assert.equal(cost(compared[1]), cost(compared[0]));
	});
});
