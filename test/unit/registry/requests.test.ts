import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Context, Errors, type ServiceBroker } from "moleculer";
import { Requests } from "../../../mixins/etcd-registry/requests.ts";
import { WeightedStrategy } from "../../../mixins/etcd-registry/strategy.ts";
import { until } from "../../support/until.ts";

const ACTION = "greeter.where";

interface Told {
	sent: string[];
	over: [nodeID: string, answered: boolean][];
	timedOut: string[];
	rerouted: number;
}

/** A broker whose requests end as `send` says, among nodes that serve the action. */
function requesting(
	send: (nodeID: string) => Promise<unknown>,
	nodes: string[],
	{ unavailable = [], others = [] }: { unavailable?: string[]; others?: string[] } = {}
) {
	const told: Told = { sent: [], over: [], timedOut: [], rerouted: 0 };
	const endpoints = nodes.map(id => ({ id, isAvailable: !unavailable.includes(id), local: false }));
	const transit = { request: (ctx: Context) => send(ctx.nodeID as string) };
	const strategy = Object.assign(Object.create(WeightedStrategy.prototype), {
		accepts: ({ id }: { id: string }) => !others.includes(id)
	});
	const list = { endpoints, strategy, select: ([first]: object[]) => first };
	const broker = { nodeID: "own", transit, registry: { getActionEndpoints: () => list } };
	new Requests(broker as unknown as ServiceBroker, {
		sent(nodeID) {
			assert.ok(told.sent.push(nodeID) < 100, "it goes round for ever");
		},
		over: (...how) => told.over.push(how),
		timedOut: nodeID => told.timedOut.push(nodeID),
		rerouted: () => told.rerouted++
	});
	return {
		told,
		request(options: object = {}) {
			const ctx = { id: "1", action: { name: ACTION }, options, setEndpoint, ...at(nodes[0] as string) };
			function setEndpoint({ id }: { id: string }): void {
				Object.assign(ctx, at(id));
			}
			return transit.request(ctx as unknown as Context);
		}
	};
}

const at = (id: string) => ({ nodeID: id, endpoint: { id } });
const refusal = (nodeID: string, action = ACTION) => new Errors.ServiceNotAvailableError({ action, nodeID });
const refuse = (nodeID: string) => Promise.reject(refusal(nodeID));

describe("A request that its node refuses unexecuted", { timeout: 20_000 }, () => {
	it("goes to each other node once, and fails where all have refused it", async () => {
		const { told, request } = requesting(refuse, ["a", "b", "c"]);
		await assert.rejects(request(), { type: "SERVICE_NOT_AVAILABLE" });
		assert.deepEqual([told.sent, told.rerouted], [["a", "b", "c"], 2]);
	});

	it("goes to five others at most", async () => {
		const { told, request } = requesting(refuse, Array.from("abcdefghij"));
		await assert.rejects(request(), { type: "SERVICE_NOT_AVAILABLE" });
		assert.deepEqual(told.sent, Array.from("abcdef"));
	});

	it("goes to no node that is not available", async () => {
		const { told, request } = requesting(refuse, ["a", "b", "c"], { unavailable: ["b"] });
		await assert.rejects(request());
		assert.deepEqual(told.sent, ["a", "c"]);
	});

	it("goes to no node with another version than the caller asks for, neither first nor then", async () => {
		const { told, request } = requesting(refuse, ["a", "b", "c"], { others: ["b"] });
		await assert.rejects(request());
		assert.deepEqual(told.sent, ["a", "c"]);
		const first = requesting(refuse, ["a", "b"], { others: ["a"] });
		await assert.rejects(first.request(), { type: "SERVICE_NOT_AVAILABLE" });
		assert.deepEqual(first.told.sent, []);
	});

	for (const options of [{ stream: {} }, { nodeID: "a" }])
		it(`goes to no other one with the option ${Object.keys(options)}`, async () => {
			const { told, request } = requesting(refuse, ["a", "b"]);
			await assert.rejects(request(options), { type: "SERVICE_NOT_AVAILABLE" });
			assert.deepEqual([told.sent, told.rerouted], [["a"], 0]);
		});

	for (const [what, error] of [
		["of another node", refusal("z")],
		["of another action", refusal("a", "other.action")],
		["that is none", new Error("it broke")]
	] as const)
		it(`is not one with an error ${what}: the action may have been executed`, async () => {
			const { told, request } = requesting(() => Promise.reject(error), ["a", "b"]);
			await assert.rejects(request(), error);
			assert.deepEqual(told.sent, ["a"]);
		});
});

describe("What is learnt from a request", { timeout: 20_000 }, () => {
	it("the node has answered, also with an error of its own", async () => {
		const answers = [async () => "a", () => Promise.reject(Object.assign(new Error("no"), { nodeID: "a" }))];
		for (const answer of answers) {
			const { told, request } = requesting(answer, ["a"]);
			await request().catch(() => {});
			assert.deepEqual(told.over, [["a", true]]);
		}
	});

	it("the node has not answered where the request failed elsewhere", async () => {
		const { told, request } = requesting(() => Promise.reject(new Error("not connected")), ["a"]);
		await assert.rejects(request());
		assert.deepEqual(told.over, [["a", false]]);
	});

	it("it was over once, when it timed out, whatever comes later", async () => {
		const answer = Promise.withResolvers<string>();
		const { told, request } = requesting(() => answer.promise, ["a"]);
		const requested = request({ timeout: 5 });
		await until("it times out", () => told.timedOut.length > 0);
		answer.resolve("late");
		await requested;
		assert.deepEqual([told.timedOut, told.over], [["a"], [["a", false]]]);
	});

	it("it has not timed out when it was answered in time", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const { told, request } = requesting(async () => "here", ["a"]);
		await request({ timeout: 1_000 });
		t.mock.timers.tick(2_000);
		assert.deepEqual([told.timedOut, told.over], [[], [["a", true]]]);
	});
});
