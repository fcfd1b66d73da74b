import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RestartWorld } from "../chaos/restarts/world.ts";
import { requireServers } from "../support/servers.ts";

describe("The mesh with two nodes of each service", await requireServers("nats", "etcd", "mariadb", "redis"), () => {
	const services = ["user", "note", "points", "audit", "api"];
	let world: RestartWorld;
	before(async () => {
		world = await RestartWorld.start(services);
	});
	after(() => world?.stop());

	it("loses no request while each node is restarted by SIGTERM, which it ends with code 0", async () => {
		const outcome = await world.underLoad(async () => {
			for (const service of services) for (const i of [1, 2]) await world.restart(`${service}-${i}`);
		});
		const { requests, retries, ...losses } = outcome;
		assert.deepEqual(losses, { failed: [], lost: 0, doubled: 0 });
		assert.ok(requests > 100, `${requests} requests, ${retries} sent again`);
	});

	it("answers with notes without names when every user node is killed, and fails nobody", async () => {
		const outcome = await world.underLoad(async () => {
			await Promise.all([world.kill("user-1"), world.kill("user-2")]);
		});
		assert.deepEqual([outcome.failed, outcome.lost], [[], 0]);
	});
});
