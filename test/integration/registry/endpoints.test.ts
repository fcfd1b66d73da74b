import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startEtcd, startEtcdCluster } from "../../../scripts/servers/etcd.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { freePort } from "../../support/processes.ts";
import { discovererOf, greeter, Load, record, sees, startNode, stopNodes } from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const { skip } = await requireServers("nats", "etcd");

describe("With several etcd endpoints", { skip, concurrency: 2 }, () => {
	it("a dead one among them is passed over", async () => {
		const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
		const dead = `http://127.0.0.1:${await freePort()}`;
		const nodes = await Promise.all(
			["one", "two", "three"].map(nodeID =>
				startNode({ nats, etcd }, { nodeID, services: [greeter()], discoverer: { endpoints: [dead, etcd.url] } })
			)
		);
		try {
			for (const node of nodes) await until("all see all", () => ["one", "two", "three"].every(id => sees(node, id)));
			for (const node of nodes) assert.equal(discovererOf(node).link.endpoint, etcd.url);
		} finally {
			await stopNodes(...nodes);
			await Promise.all([nats.stop(), etcd.stop()]);
		}
	});

	it("the loss of one cluster member after the other, the leader included, evicts nobody and fails no call", async () => {
		const [nats, members] = await Promise.all([startNats(), startEtcdCluster(3)]);
		const endpoints = members.map(member => member.url);
		const etcd = members[0] as LocalServer;
		const nodes = await Promise.all(
			["one", "two", "three"].map(nodeID =>
				startNode({ nats, etcd }, { nodeID, services: [greeter()], discoverer: { endpoints } })
			)
		);
		const [one] = nodes as [(typeof nodes)[0]];
		try {
			for (const node of nodes) await until("all see all", () => ["one", "two", "three"].every(id => sees(node, id)));
			const lost = record(one, "$node.disconnected");
			const load = new Load(one);

			for (const member of members) {
				await member.kill();
				await delay(800);
				await member.start();
				for (const node of nodes)
					await until("all are connected", () => discovererOf(node).link.endpoint !== undefined);
			}
			const late = await startNode(
				{ nats, etcd },
				{ nodeID: "late", services: [greeter()], discoverer: { endpoints } }
			);
			nodes.push(late);
			await until("the late node is seen", () => sees(one, "late"));
			await load.stop();

			assert.deepEqual(lost, []);
			assert.deepEqual(load.failures, []);
		} finally {
			await stopNodes(...nodes);
			await Promise.all([nats.stop(), ...members.map(member => member.stop())]);
		}
	});
});
