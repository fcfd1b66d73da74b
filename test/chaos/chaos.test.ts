import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";

describe("Notemesh under chaos", await requireServers("nats", "etcd", "mariadb", "redis"), () => {
	it("keeps every promise while a note node, NATS and its streams, etcd and its data, and MariaDB die (quick run)", async () => {
		const run = spawnNode({ args: ["test/chaos/run.ts", "--quick"] });
		const { code } = await run.exited;
		assert.equal(code, 0, run.output);
		const { faults, violations } = JSON.parse(run.lines.at(-1) ?? "");
		assert.deepEqual({ faults, violations }, { faults: 2, violations: 0 });
	});
});
