import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { Child } from "../../../scripts/servers/child.ts";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { Namespace, requireNamespaces } from "../../support/namespaces.ts";
import { freePort } from "../../support/processes.ts";
import { discovererOf, greeter, record, SHORT_TTL, sees, startNode, stopNodes } from "../../support/registry.ts";
import type { RegistryNodeOptions } from "../../support/registry-node.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const SCRIPT = join(import.meta.dirname, "../../support/registry-node.ts");
const { skip } = await requireServers("nats", "etcd");

describe("A node partitioned", skip ? { skip } : requireNamespaces(), () => {
	let namespace: Namespace;
	let nats: LocalServer;
	let etcd: LocalServer;
	let one: ServiceBroker;
	let far: Child;
	let output = "";

	before(async () => {
		namespace = await Namespace.create();
		const [natsPort, etcdPort] = [await freePort(), await freePort()];
		const url = `http://0.0.0.0:${etcdPort}`;
		[nats, etcd] = await Promise.all([
			startNats({ port: natsPort, args: ["--addr", "0.0.0.0"] }),
			startEtcd({ port: etcdPort, args: ["--listen-client-urls", url] })
		]);
	});
	after(async () => {
		await Promise.all([nats?.stop(), etcd?.stop()]);
		await namespace?.delete();
	});
	afterEach(async () => {
		await Promise.all([stopNodes(one), far?.kill()]);
	});

	async function start(): Promise<void> {
		one = await startNode({ nats, etcd }, { nodeID: "one", services: [greeter()] });
		const options: RegistryNodeOptions = {
			nodeID: "far",
			nats: `nats://${namespace.addresses.nats}:${nats.port}`,
			natsPingInterval: 300,
			discoverer: { endpoints: [`http://${namespace.addresses.etcd}:${etcd.port}`], ttl: SHORT_TTL },
			calls: "one"
		};
		const { command, args } = namespace.command(process.execPath, SCRIPT, JSON.stringify(options));
		far = new Child(command, args, { env: { PATH: process.env.PATH }, stdio: ["ignore", "pipe", "ignore"] });
		output = "";
		far.stdout?.on("data", chunk => {
			output += chunk;
		});
		await until("both see each other", () => sees(one, "far") && output.includes('"started"'));
	}

	it("from etcd, but not from NATS, keeps calling, is removed with its lease, and comes back", async context => {
		await start();
		const lost = record(one, "$node.disconnected");

		await namespace.cut(namespace.addresses.etcd);
		await until("the node's lease has ended", () => !sees(one, "far"));
		assert.equal(lost.length, 1);
		await delay(500);
		await namespace.mend(namespace.addresses.etcd);

		const back = await until("the node is back", () => sees(one, "far"));
		context.diagnostic(`back after ${back.toFixed(0)} ms`);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "far" }), "far");
		assert.doesNotMatch(output, /"event":"failed"/, "its own calls never failed");
	});

	it("from NATS, but not from etcd, withdraws, and comes back", async context => {
		await start();

		await namespace.cut(namespace.addresses.nats);
		await until("the node has withdrawn", () => discovererOf(one).mesh.membership.get("far") === undefined);
		await namespace.mend(namespace.addresses.nats);

		const back = await until("the node is back", () => sees(one, "far"));
		context.diagnostic(`back after ${back.toFixed(0)} ms`);
		assert.equal(await one.call("greeter.where", {}, { nodeID: "far" }), "far");
	});
});
