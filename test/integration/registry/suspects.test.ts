import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { NodeProcess } from "../../support/processes.ts";
import {
	discovererOf,
	Load,
	metricOf,
	record,
	sees,
	spawnRegistryNode,
	startNode,
	stopNodes,
	suiteServers
} from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

// Long, so that nothing in here can be the lease's doing.
const TTL = 60;

describe("A caller", await requireServers("nats", "etcd"), () => {
	const servers = suiteServers();
	let caller: ServiceBroker;
	let processes: Record<string, NodeProcess> = {};
	afterEach(async () => {
		await Promise.all([stopNodes(caller), ...Object.values(processes).map(node => node.kill())]);
		processes = {};
		await servers.client.delete().all(); // what the killed nodes left behind
	});

	async function start(...ids: string[]): Promise<void> {
		const discoverer = { endpoints: [servers.etcd.url], ttl: TTL };
		const [broker] = await Promise.all([
			startNode(servers, { nodeID: "caller", discoverer }),
			...ids.map(async id => {
				processes[id] = await spawnRegistryNode(servers, id, { discoverer });
			})
		]);
		caller = broker;
		await until("the caller sees all", () => ids.every(id => sees(caller, id)));
	}

	it("of a crashed node is steered away at once, long before the lease ends, and at most the calls in progress fail", async context => {
		await start("one", "two");
		const load = new Load(caller, { workers: 2, pause: 2 });
		await until("both are called", () => load.nodes.size === 2);

		await processes.two?.kill();
		const took = await until("two is out", () => !sees(caller, "two"));
		context.diagnostic(`steered away after ${took.toFixed(1)} ms`);
		await delay(200);
		await load.stop();

		assert.ok(load.failures.length <= 2, `${load.failures.length} calls failed: ${load.failures[0]}`);
		assert.equal(caller.registry.nodes.get("two").available, false);
		assert.ok(discovererOf(caller).mesh.membership.get("two"), "etcd remains the truth about membership");
	});

	it("gets a retryable error at once when the only node has crashed", async () => {
		await start("one");
		await processes.one?.kill();

		// There is no request timeout, and the lease lasts for a minute: nothing else could end the call.
		await assert.rejects(caller.call("greeter.where"), { type: "SERVICE_NOT_AVAILABLE", retryable: true });
	});

	it("is steered away from a crashed node by a stream that nobody took, too", async () => {
		await start("one");
		await processes.one?.kill();

		const sent = caller.call("greeter.where", {}, { stream: Readable.from(["content"]) });
		await assert.rejects(sent, { type: "SERVICE_NOT_AVAILABLE", retryable: true });
		await until("one is out", () => !sees(caller, "one"));
	});

	it("has its requests in progress rejected soon after the crash, although it makes no other call", async () => {
		await start("one", "two");
		const waiting = caller.call("greeter.wait", { time: 60_000 }, { nodeID: "two" });
		const rejected = assert.rejects(waiting, { type: "REQUEST_REJECTED", retryable: true });
		await processes.two?.waitForLine(/"event":"waiting"/);

		await processes.two?.kill();
		await rejected;
	});

	it("leaves a hung node alone after a few timeouts, and calls it again when it answers", async () => {
		await start("one", "two");
		const load = new Load(caller, { timeout: 200 });

		processes.two?.signal("SIGSTOP");
		await until("two is out", () => !sees(caller, "two"));
		const failedUntilThen = load.failures.length;
		await delay(1000);
		const failedLater = load.failures.length - failedUntilThen;

		processes.two?.signal("SIGCONT");
		await until("two is back", () => sees(caller, "two"));
		const callsBefore = load.nodes.get("two") ?? 0;
		await until("two is called", () => (load.nodes.get("two") ?? 0) > callsBefore);
		await load.stop();

		assert.ok(failedUntilThen <= 10, `${failedUntilThen} calls failed until the breaker opened`);
		assert.ok(failedLater <= 2, `${failedLater} calls failed afterwards`);
	});

	it("takes a node back whose event loop was blocked for 2 seconds", async () => {
		await start("one", "two");
		const lost = record(caller, "$node.disconnected");
		const load = new Load(caller, { timeout: 300 });

		await caller.call("greeter.block", { time: 2000 }, { nodeID: "two" });
		await delay(2500);
		await until("two is back", () => sees(caller, "two"));
		await load.stop();
		assert.deepEqual(lost, [], "it was never removed");
	});

	it("does not suspect a node that is merely slow", async () => {
		await start("one", "two");
		const calls = Array.from({ length: 6 }, () =>
			caller.call("greeter.wait", { time: 500 }, { nodeID: "two", timeout: 100 })
		);
		await Promise.allSettled(calls);
		await delay(100);
		assert.ok(sees(caller, "two"));
		assert.equal(metricOf(caller, "suspicions.total"), 0);
	});

	it("fails fast while NATS is down, and nothing is executed later", async () => {
		await start("one");
		assert.equal(await caller.call("greeter.executed"), 0);

		await servers.nats.kill();
		await until("the caller knows", () => caller.transit?.tx.connected === false);
		for (let i = 0; i < 10; i++) {
			// Not REQUEST_TIMEOUT: the call does not wait.
			await assert.rejects(caller.call("greeter.count", {}, { timeout: 5000 }), {
				type: "BAD_GATEWAY",
				retryable: true
			});
		}

		await servers.nats.start();
		await until("the caller is back", () => caller.transit?.connected === true);
		// A node that was without NATS for a second withdraws until it is back, and may do so only now.
		await until("the service answers that nothing was executed", async () => {
			const executed = await caller.call("greeter.executed").catch((error: Error & { retryable?: boolean }) => {
				if (!error.retryable) throw error;
			});
			return executed === 0;
		});
	});

	it("has its requests dropped that NATS held back beyond their deadline", async () => {
		await start("one", "two");
		await caller.call("greeter.where", {}, { nodeID: "one" });

		servers.nats.pause();
		const late = Array.from({ length: 20 }, (_, index) =>
			caller.call("greeter.count", {}, { nodeID: index % 2 ? "one" : "two", timeout: 300 })
		);
		const results = await Promise.allSettled(late);
		await delay(100); // well beyond the deadline, which is judged to within the network's latency
		servers.nats.resume();

		assert.ok(results.every(({ status }) => status === "rejected"));
		await until("both nodes are back", () => sees(caller, "one") && sees(caller, "two"));
		assert.equal(await caller.call("greeter.executed", {}, { nodeID: "one" }), 0);
		assert.equal(await caller.call("greeter.executed", {}, { nodeID: "two" }), 0);
	});

	it("can stop while NATS is down", async () => {
		await start("one");
		await servers.nats.kill();
		await until("the caller knows", () => caller.transit?.tx.connected === false);
		await caller.stop();
		assert.equal(await processes.one?.stop(), 0);
		await servers.nats.start();
	});

	it("stops calling a node that lost NATS but not etcd, and finds it again afterwards (defect 7)", async () => {
		await start("one");
		const lost = record(caller, "$node.disconnected");

		await servers.nats.kill();
		await until("the node has withdrawn", () => discovererOf(caller).mesh.membership.get("one") === undefined);
		assert.equal(lost.length, 1);

		await servers.nats.start();
		await until("the caller sees it again", () => sees(caller, "one"));
		assert.equal(await caller.call("greeter.where"), "one");
	});
});
