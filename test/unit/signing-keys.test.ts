import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { readEnv } from "../../lib/env.ts";
import { signingKeys } from "../../lib/signing-keys.ts";

const DATA_DIR = mkdtempSync(join(tmpdir(), "notemesh-keys-"));
after(() => rmSync(DATA_DIR, { recursive: true }));
const KEY = { name: "a", secret: "0123456789abcdef0123456789abcdef" };

describe("The signing keys", () => {
	it("are those of the environment, where there are any", () => {
		const env = readEnv({ DATA_DIR, NODE_ENV: "production", JWT_KEYS: `a:${KEY.secret}` });
		assert.deepEqual(signingKeys(env), [KEY]);
	});

	it("are made once and kept, for nobody else to read, in the embedded shape", () => {
		const env = readEnv({ DATA_DIR });
		const [key] = signingKeys(env);
		assert.ok(Buffer.byteLength(key?.secret ?? "") >= 32);
		assert.deepEqual(signingKeys(env), [key]);
		assert.equal(statSync(join(DATA_DIR, "jwt-key")).mode & 0o777, 0o600);
	});

	it("are not what a full disk has left of one", () => {
		const folder = mkdtempSync(join(DATA_DIR, "full-"));
		for (const left of ["", "a"]) {
			writeFileSync(join(folder, "jwt-key"), left);
			assert.throws(() => signingKeys(readEnv({ DATA_DIR: folder })), /jwt-key is not a whole key. Remove it/);
		}
		rmSync(join(folder, "jwt-key"));
		assert.equal(signingKeys(readEnv({ DATA_DIR: folder })).length, 1);
		assert.deepEqual(readdirSync(folder), ["jwt-key"]);
	});

	for (const [what, variables] of [
		["in production", { NODE_ENV: "production" }],
		["on MySQL, where several processes must agree on them", { DATABASE_URL: "mysql://root@127.0.0.1/{service}" }]
	] as const)
		it(`must be given ${what}`, () => {
			assert.throws(() => signingKeys(readEnv({ DATA_DIR, ...variables })), /JWT_KEYS must be set/);
		});
});
