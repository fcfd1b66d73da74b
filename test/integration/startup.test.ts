import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { acquire } from "../../mixins/db/connection.ts";
import { migrate } from "../../models/migrator.ts";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { freePort, spawnNode } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

describe("A node whose servers are not there yet", await requireServers("nats", "etcd", "mariadb"), () => {
	it("says which one it waits for, and comes up by itself as they come", async t => {
		const [nats, etcd, mariadb] = await Promise.all([
			startNats({ jetstream: true }),
			startEtcd(),
			startMariadb({ durable: false })
		]);
		const servers = [nats, etcd, mariadb];
		t.after(() => Promise.all(servers.map(server => server.stop())));
		const { sequelize, release } = acquire(await mariadb.createDatabase("note"));
		await migrate(sequelize, "note");
		await release();
		await Promise.all(servers.map(server => server.stop()));

		await using node = spawnNode({
			args: RUNNER,
			env: {
				NATS_URL: nats.url,
				ETCD_ENDPOINTS: etcd.url,
				DATABASE_URL: `${mariadb.url}/{service}`,
				SERVICEDIR: "services/note",
				NODE_NAME: "note-1",
				TRACE_EXPORTER: "none"
			}
		});
		const lines = (pattern: RegExp) => node.lines.filter(line => pattern.test(line));
		const noNats = /NATS at 127\.0\.0\.1:\d+ cannot be reached; waiting for it/;
		await node.waitForLine(noNats);
		await nats.start();
		await node.waitForLine(/NATS can be reached now/);
		assert.equal(lines(noNats).length, 1);

		const noEtcd = /etcd at \S+ cannot be reached/;
		await node.waitForLine(noEtcd);
		const noDatabase = /Database \S+ cannot be reached.*Attempt (\d+), the next one in/;
		await until("the third attempt is told of", () => lines(noDatabase).length >= 3);
		await mariadb.start();
		assert.equal(lines(noEtcd).length, 1);
		assert.deepEqual(lines(/started successfully/), []);

		await etcd.start();
		await node.waitForLine(/started successfully/);
		assert.equal(await node.stop(), 0);
	});

	it("ends with code 0, and says nothing of a failure, when it is stopped while it waits for its database", async t => {
		const [nats, etcd, port] = await Promise.all([startNats({ jetstream: true }), startEtcd(), freePort()]);
		t.after(() => Promise.all([nats.stop(), etcd.stop()]));
		const node = spawnNode({
			args: RUNNER,
			env: {
				NATS_URL: nats.url,
				ETCD_ENDPOINTS: etcd.url,
				DATABASE_URL: `mysql://root@127.0.0.1:${port}/{service}`,
				SERVICEDIR: "services/note",
				NODE_NAME: "note-1",
				TRACE_EXPORTER: "none"
			}
		});
		await node.waitForLine(/Database \S+ cannot be reached/);
		assert.equal(await node.stop(), 0, node.output);
		assert.doesNotMatch(node.output, /ERROR|FATAL/);
	});
});
