import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { greeter, metricOf, record, Scene, SHORT_TTL, sees, suiteServers } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const { skip } = await requireServers("nats", "etcd");

describe("Membership in the etcd registry", { skip, concurrency: 4 }, () => {
	const servers = suiteServers();

	it("shows nodes that start together to each other, with one lease and one range read each", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one", "two", "three");

		assert.equal(await one.call("greeter.where", {}, { nodeID: "three" }), "three");
		for (const node of scene.nodes) {
			assert.equal(metricOf(node, "registrations.total"), 1);
			assert.equal(metricOf(node, "resyncs.total"), 1);
		}
	});

	it("adds a node that joins later, with moleculer's event", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one");
		const events = record(one, "$node.connected");

		await scene.start("two");
		assert.deepEqual(
			events.map(([, { reconnected }]) => reconnected),
			[false]
		);
	});

	it("shows a service as soon as it has started, so that nodes can depend on each other's services", async context => {
		const scene = new Scene(context, servers);
		const first = scene.make({
			nodeID: "first",
			services: [greeter({}, "base"), { ...greeter({}, "top"), dependencies: ["middle"] }]
		});
		const second = scene.make({
			nodeID: "second",
			services: [{ ...greeter({}, "middle"), dependencies: ["base"] }]
		});

		await Promise.all([first.start(), second.start()]);
		await until("the last service is seen", () => sees(second, "first", "top"));
	});

	it("removes a node that leaves from all registries, and its keys from etcd", async context => {
		const scene = new Scene(context, servers);
		const [one, two] = await scene.start("one", "two");
		const events = record(one, "$node.disconnected");

		await two.stop();
		await until("one has removed two", () => !sees(one, "two") && !one.registry.nodes.get("two").available);
		assert.deepEqual(
			events.map(([, { unexpected }]) => unexpected),
			[false]
		);
		assert.deepEqual(await scene.keysUnder("nodes/two"), []);
		assert.deepEqual(await scene.keysUnder("services/greeter/two"), []);
	});

	it("removes a crashed node at the end of its lease", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one");
		const two = await scene.spawn("two");
		await until("one sees two", () => sees(one, "two"));

		await two.kill();
		const took = await until("one has removed two", () => one.registry.nodes.get("two").available === false);
		context.diagnostic(`gone ${took.toFixed(0)} ms after the crash, with a TTL of ${SHORT_TTL} s`);
	});

	it("announces a service added at run time, and withdraws one that is destroyed, without moleculer's debounce", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one");
		const two = await scene.add({
			nodeID: "two",
			services: [greeter()],
			broker: { transit: { serviceChangedDebounceTime: 10_000 } as object }
		});
		await until("one sees two", () => sees(one, "two"));

		two.createService(greeter({}, "late"));
		await until("one sees the new service", () => sees(one, "two", "late"), 8000); // sooner than the debounce
		assert.ok(await scene.keys.get("services/late/two").string());

		await two.destroyService("late");
		await until("one misses the service", () => !one.registry.hasService("late", "two"));
		assert.equal(await scene.keys.get("services/late/two").string(), null);
		two.createService(greeter({}, "late"));
		await until("one sees the service again", () => sees(one, "two", "late"));
		assert.ok(sees(one, "two"), "the node itself stays");
	});

	it("keeps a restarted node when the DELETE of its old instance comes late, and rejects the old requests", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one");
		const old = await scene.spawn("two");
		await until("one sees two", () => sees(one, "two"));
		const waiting = one.call("greeter.wait", { time: 60_000 }, { nodeID: "two" });
		const rejected = assert.rejects(waiting, { type: "REQUEST_REJECTED", retryable: true });
		await old.waitForLine(/"event":"waiting"/);

		await old.kill();
		const before = one.registry.nodes.get("two").instanceID;
		await scene.spawn("two");
		await until("one knows the new instance", () => one.registry.nodes.get("two").instanceID !== before);
		await rejected;

		const lost = record(one, "$node.disconnected");
		await until("the old key is gone", async () => (await scene.keysUnder("nodes/two/")).length === 1);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "two" }), "two");
		assert.deepEqual(lost, []);
	});

	it("executes no call twice while a second process with one node id starts", async context => {
		const scene = new Scene(context, servers);
		const executions = new Map<number, string[]>();
		const enough = Promise.withResolvers<void>();
		let calls = 0;
		const counter = (name: string, started?: () => Promise<void>): ServiceSchema => ({
			...greeter({}, "counter"),
			...(started && { started }),
			actions: {
				where: ctx => void executions.set(ctx.params.call, [...(executions.get(ctx.params.call) ?? []), name])
			}
		});
		const [older, newer] = ["older", "newer"].map(name =>
			scene.make({
				nodeID: "twin",
				services: [counter(name, name === "newer" ? () => enough.promise : undefined)]
			})
		) as [ServiceBroker, ServiceBroker];
		const fatal = context.mock.method(older, "fatal", () => {}); // it stays, as if it saw its key's end late
		await older.start();
		await scene.add({ nodeID: "other", services: [counter("other")] });
		const caller = await scene.add({ nodeID: "caller" });
		await until("the caller sees both", () => ["twin", "other"].every(id => sees(caller, id, "counter")));
		const call = () => caller.call("counter.where", { call: calls++ }).catch(() => {});
		const callUntil = async (condition: () => boolean) => {
			for (const end = calls + 200; calls < end || !condition(); ) await call();
		};

		const starting = newer.start();
		await callUntil(() => newer.transit?.tx.connected === true);
		enough.resolve();
		await callUntil(() => fatal.mock.callCount() > 0);
		await starting;
		await callUntil(() => [...executions.values()].flat().includes("newer"));
		assert.deepEqual(
			[...executions].filter(([, names]) => names.length > 1),
			[]
		);
	});

	it("stops the older process when two use one node id, with a message that says so (defect 6)", async context => {
		const scene = new Scene(context, servers);
		const [one] = await scene.start("one");
		const older = await scene.spawn("twin");
		await until("one sees the twin", () => sees(one, "twin"));

		await scene.spawn("twin");
		const exit = await older.exited;
		assert.equal(exit.code, 1);
		assert.match(older.output, /Another process uses the node id 'twin'.*This one stops/);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "twin" }), "twin");
	});
});
