import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { spawnNode } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";

const { skip } = await requireServers("nats", "mariadb");

describe("Events under chaos", { skip }, () => {
	it("take effect once and in order through crashes, poison, and a stream that was wiped (quick run)", async () => {
		const run = spawnNode({ args: ["test/chaos/events/run.ts", "--quick"], env: { NODE_ENV: "test", HOME: "/tmp" } });
		const { code } = await run.exited;
		assert.equal(code, 0, run.output);
	});
});
