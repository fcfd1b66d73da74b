import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ServiceBroker } from "moleculer";
import { connect, type Msg, type NatsConnection } from "nats";
import { record, sees, startNode, stopNodes, suiteServers } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const TIMEOUT = 1000.5;

describe("A request that was under way for longer than its caller waits", await requireServers("nats", "etcd"), () => {
	const servers = suiteServers();
	let caller: ServiceBroker;
	let callee: ServiceBroker;
	let wire: NatsConnection;
	let sent: Msg;
	let late: unknown[];
	const done: string[] = [];

	before(async () => {
		const greeter = {
			name: "greeter",
			actions: { where: (ctx: { params: { as: string } }) => void done.push(ctx.params.as) }
		};
		[caller, callee, wire] = await Promise.all([
			startNode(servers, { nodeID: "the.caller" }),
			startNode(servers, { nodeID: "callee", services: [greeter] }),
			connect({ servers: servers.nats.url })
		]);
		late = record(callee, "$transporter.lateRequest");
		const request = Promise.withResolvers<Msg>();
		wire.subscribe("MOL.REQ.callee.*", { max: 1, callback: (_error, message) => request.resolve(message) });
		await wire.flush();
		await until("the caller sees the callee", () => sees(caller, "callee"));
		await caller.call("greeter.where", { as: "the original" }, { timeout: TIMEOUT });
		sent = await request.promise;
	});
	after(async () => {
		await wire?.close();
		await stopNodes(caller, callee);
	});

	/** Sends the request once more as if it had left so long ago, and waits until the callee has looked at it. */
	const sendAgain = async (as: string, millisecondsAgo: number) => {
		const left = /\.(\d{13})\.(\d+)\.direct$/.exec(sent.reply ?? "");
		assert.equal(left?.[2], "1001", "what the caller waits, in whole milliseconds");
		const reply = sent.reply?.replace(`.${left?.[1]}.`, `.${Date.now() - millisecondsAgo}.`) ?? "";
		wire.publish(sent.subject, sent.string().replace("the original", as), { reply });
		await wire.flush();
		await until(`${as} was looked at`, () => done.includes(as) || late.length > 0);
	};

	it("is not executed, and told of", async () => {
		await sendAgain("late", 60_000);
		assert.deepEqual(late, [["$transporter.lateRequest", { nodeID: "the.caller" }]]);
		assert.deepEqual(done, ["the original"]);
	});

	it("is executed while there is time, by a node that knows the sender's clock", async () => {
		late.length = 0;
		await sendAgain("in time", 100);
		assert.deepEqual(done, ["the original", "in time"]);
		assert.deepEqual(late, []);
	});
});
