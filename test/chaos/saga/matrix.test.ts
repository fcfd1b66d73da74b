import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { spawnNode } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";

describe("The crash matrix", await requireServers("mariadb", "nats"), () => {
	it("has no violation in 86 cells of real kills, pauses and lost messages, nor in the kills on SQLite", async () => {
		const run = spawnNode({ args: ["test/chaos/saga/run.ts"] });
		const { code } = await run.exited;
		assert.equal(code, 0, run.output);
		assert.match(run.output, /On MariaDB {2}\(86 cells[\s\S]*On SQLite {2}\(26 cells/);
		assert.deepEqual(JSON.parse(run.lines.at(-1) ?? ""), { seed: 1, cells: 86, rounds: 1, violations: 0 });
	});
});
