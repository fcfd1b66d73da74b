import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { greeter, Load, sees, startNode, stopNodes } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

describe("With `disableBalancer`, NATS balances", await requireServers("nats", "etcd"), () => {
	it("over nodes that join and leave without a failed call, and fails at once when nobody is left", async () => {
		const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
		const start = (nodeID: string, services = [greeter()]) =>
			startNode({ nats, etcd }, { nodeID, services, broker: { disableBalancer: true } });
		const [caller, one] = await Promise.all([start("caller", []), start("one")]);
		try {
			await until("the caller sees one", () => sees(caller, "one"));
			const load = new Load(caller, { workers: 4, pause: 1 });

			const two = await start("two");
			await until("both are called", () => load.nodes.size === 2);
			two.createService(greeter({}, "late"));
			await until("the caller sees the late service", () => sees(caller, "two", "late"));
			assert.equal(await caller.call("late.where"), "two");
			await one.stop();
			await two.destroyService("late");
			await load.stop();
			assert.deepEqual(load.failures, []);

			await two.stop();
			const call = caller.call("greeter.where", {}, { timeout: 5000 });
			await assert.rejects(call, (error: { type?: string; retryable?: boolean }) => {
				return error.retryable === true && error.type !== "REQUEST_TIMEOUT";
			});
		} finally {
			await stopNodes(caller, one);
			await Promise.all([nats.stop(), etcd.stop()]);
		}
	});
});
