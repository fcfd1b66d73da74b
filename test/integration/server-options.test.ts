import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { Etcd3 } from "etcd3";
import { Redis } from "ioredis";
import { createConnection } from "mysql2/promise";
import { connect } from "nats";
import { startEtcd, startEtcdCluster } from "../../scripts/servers/etcd.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { startRedis } from "../../scripts/servers/redis.ts";
import { createCertificate } from "../support/certificates.ts";
import { requireServers } from "../support/servers.ts";

describe("startNats", await requireServers("nats"), () => {
	it("applies a configuration text: TLS and a token", async () => {
		const { certFile, keyFile } = await createCertificate();
		const config = `
			authorization { token: "secret" }
			tls { cert_file: "${certFile}", key_file: "${keyFile}" }
		`;
		await using server = await startNats({ config });
		const tls = { caFile: certFile };

		await assert.rejects(connect({ servers: server.url, tls }), /Authorization Violation/i);
		const nats = await connect({ servers: server.url, tls, token: "secret" });
		assert.equal(nats.info?.tls_required, true);
		await nats.close();
	});
});

describe("startEtcd", await requireServers("etcd"), () => {
	it("asks clients for a certificate when it was given TLS files", async () => {
		const { certFile, keyFile } = await createCertificate();
		await using server = await startEtcd({ tls: { certFile, keyFile, trustedCaFile: certFile } });
		assert.match(server.url, /^https:/);

		const [certificate, privateKey] = await Promise.all([readFile(certFile), readFile(keyFile)]);
		const etcd = new Etcd3({
			hosts: server.url,
			credentials: { rootCertificate: certificate, privateKey, certChain: certificate }
		});
		await etcd.put("kept").value("value");
		assert.equal(await etcd.get("kept").string(), "value");
		etcd.close();
		await assert.rejects(fetch(`${server.url}/version`));
	});

	it("is ready again after a restart with authentication switched on", async () => {
		await using server = await startEtcd();
		const etcd = new Etcd3({ hosts: server.url });
		const root = etcd.user("root");
		await root.create("secret");
		await etcd.role("root").create();
		await root.addRole("root");
		await etcd.auth.authEnable();

		await server.kill();
		await server.start();
		await assert.rejects(etcd.get("kept").string(), /user name is empty/);
		etcd.close();

		const signedIn = new Etcd3({ hosts: server.url, auth: { username: "root", password: "secret" } });
		assert.equal(await signedIn.get("kept").string(), null);
		signedIn.close();
	});
});

describe("startEtcdCluster", await requireServers("etcd"), () => {
	it("starts members that share their data", async () => {
		const members = await startEtcdCluster(3);
		const clients = members.map(member => new Etcd3({ hosts: member.url }));
		await clients[0]?.put("kept").value("value");
		assert.deepEqual(await Promise.all(clients.map(client => client.get("kept").string())), [
			"value",
			"value",
			"value"
		]);

		for (const client of clients) client.close();
		for (const member of members) await member.stop();
	});
});

describe("startMariadb", await requireServers("mariadb"), () => {
	it("gives a server whose createDatabase returns the database's URL, also when it exists already", async () => {
		await using server = await startMariadb({ durable: false });
		const url = await server.createDatabase("note-service");
		assert.equal(await server.createDatabase("note-service"), url);

		const connection = await createConnection(url);
		const [rows] = await connection.query({
			sql: "SELECT DATABASE(), @@character_set_database, @@innodb_flush_log_at_trx_commit",
			rowsAsArray: true
		});
		assert.deepEqual(rows, [["note-service", "utf8mb4", 2]]);
		await connection.end();
	});

	it("syncs each commit unless told otherwise", async () => {
		await using server = await startMariadb();
		const connection = await createConnection(server.url);
		const [rows] = await connection.query({ sql: "SELECT @@innodb_flush_log_at_trx_commit", rowsAsArray: true });
		assert.deepEqual(rows, [[1]]);
		await connection.end();
	});
});

describe("startRedis", await requireServers("redis"), () => {
	it("is ready with a password, and forgets its data in a crash unless told to keep it", async () => {
		await using server = await startRedis({ args: ["--requirepass", "secret"] });
		const redis = new Redis(server.url, { password: "secret" });
		await redis.set("lost", "value");
		redis.disconnect();

		await server.kill();
		await server.start();
		const later = new Redis(server.url, { password: "secret" });
		assert.equal(await later.get("lost"), null);
		later.disconnect();
	});
});
