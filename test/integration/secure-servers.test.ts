import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { createConnection } from "mysql2/promise";
import { connect } from "nats";
import { databaseUrl, readEnv } from "../../lib/env.ts";
import { natsOptions, redisOptions } from "../../lib/server-options.ts";
import { parseMysqlUrl } from "../../mixins/db/mysql-url.ts";
import { spawnNode } from "../../scripts/node-process.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { startRedis } from "../../scripts/servers/redis.ts";
import { createCertificate } from "../support/certificates.ts";
import { Client } from "../support/client.ts";
import { createOperator } from "../support/nats-operator.ts";
import { freePort } from "../support/processes.ts";
import { requireServers } from "../support/servers.ts";

const RUNNER = [
	"node_modules/moleculer/bin/moleculer-runner.mjs",
	"--config",
	"moleculer.config.ts",
	"--mask",
	"**/*.service.ts"
];
/** With every character that a URL would take for something else. */
const PASSWORD = "p@ss:w/rd?#%";
const JWT_KEYS = `test:${"k".repeat(32)}`;

interface Certificate {
	certFile: string;
	keyFile: string;
}

let ours: Certificate;
let strangers: Certificate;

/** The variables with which a node trusts `authority` and shows `own`. */
const tls = (authority: Certificate, own?: Certificate) => ({
	TLS_CA_FILE: authority.certFile,
	...(own && { TLS_CERT_FILE: own.certFile, TLS_KEY_FILE: own.keyFile })
});
const withPassword = (url: string, scheme: string, user = "notemesh", password = PASSWORD) =>
	url.replace(/^\w+:\/\/([^@/]*@)?/, `${scheme}://${user}:${encodeURIComponent(password)}@`);

const skip = (await requireServers("nats", "etcd", "mariadb", "redis", "openssl")).skip;

before(async () => {
	if (skip) return;
	[ours, strangers] = await Promise.all([createCertificate(), createCertificate()]);
});

function startSecureNats(authorization: string, { certFile, keyFile } = ours) {
	return startNats({
		config: `${authorization}
			tls { cert_file: "${certFile}", key_file: "${keyFile}", ca_file: "${certFile}", verify: true }`
	});
}

async function startSecureRedis() {
	const tlsPort = await freePort();
	const { certFile, keyFile } = ours;
	const server = await startRedis({
		args: [
			"--tls-port",
			String(tlsPort),
			"--tls-cert-file",
			certFile,
			"--tls-key-file",
			keyFile,
			"--tls-ca-cert-file",
			certFile,
			"--requirepass",
			PASSWORD
		]
	});
	return { server, url: `rediss://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${tlsPort}` };
}

/** The user `notemesh` may come with the password and a certificate only. */
async function startSecureMariadb(): Promise<MariadbServer> {
	const { certFile, keyFile } = ours;
	const server = await startMariadb({
		durable: false,
		args: [`--ssl-ca=${certFile}`, `--ssl-cert=${certFile}`, `--ssl-key=${keyFile}`]
	});
	const root = await createConnection(server.url);
	await root.query("CREATE USER 'notemesh'@'127.0.0.1' IDENTIFIED BY ? REQUIRE X509", [PASSWORD]);
	await root.query("GRANT ALL ON `secure%`.* TO 'notemesh'@'127.0.0.1'");
	await root.end();
	return server;
}

describe("A NATS server with TLS and credentials", { skip }, () => {
	const connectWith = async (variables: Record<string, string>) => {
		const nats = await connect({ ...natsOptions(readEnv(variables)), reconnect: false, timeout: 3000 });
		const encrypted = nats.info?.tls_required;
		await nats.close();
		return encrypted;
	};

	it("is reached with a user and password in the URL and the TLS files, and with less of these refuses", async () => {
		await using server = await startSecureNats(`authorization { user: notemesh, password: "${PASSWORD}" }`);
		const NATS_URL = withPassword(server.url, "tls");
		assert.equal(await connectWith({ NATS_URL, ...tls(ours, ours) }), true);

		await assert.rejects(connectWith({ NATS_URL, ...tls(ours) }), "no client certificate");
		await assert.rejects(connectWith({ NATS_URL, ...tls(ours, strangers) }), "a stranger's client certificate");
		await assert.rejects(
			connectWith({ NATS_URL, ...tls(strangers, ours) }),
			/self-signed|certificate/i,
			"another authority"
		);
		await assert.rejects(connectWith({ NATS_URL }), /self-signed|certificate/i, "Node's authorities");
		const wrong = withPassword(server.url, "tls", "notemesh", "wrong");
		await assert.rejects(connectWith({ NATS_URL: wrong, ...tls(ours, ours) }), /Authorization Violation/i);
	});

	it("is reached with a token", async () => {
		await using server = await startSecureNats(`authorization { token: "${PASSWORD}" }`);
		const NATS_URL = server.url.replace("nats://", `tls://${encodeURIComponent(PASSWORD)}@`);
		assert.equal(await connectWith({ NATS_URL, ...tls(ours, ours) }), true);
	});

	it("is reached with a credentials file", async () => {
		const { config, credentials } = createOperator();
		const NATS_CREDS_FILE = join(temporaryFolder("creds"), "user.creds");
		writeFileSync(NATS_CREDS_FILE, credentials, { mode: 0o600 });
		await using server = await startSecureNats(config);
		const NATS_URL = server.url.replace("nats:", "tls:");
		assert.equal(await connectWith({ NATS_URL, NATS_CREDS_FILE, ...tls(ours, ours) }), true);
		await assert.rejects(connectWith({ NATS_URL, ...tls(ours, ours) }), /Authorization Violation/i);
	});

	it("is not talked to in plain text where the URL says tls:", async () => {
		await using server = await startNats();
		const NATS_URL = server.url.replace("nats:", "tls:");
		await assert.rejects(connectWith({ NATS_URL, ...tls(ours) }), /tls/i);
	});
});

describe("A Redis with TLS and a password", { skip }, () => {
	const ping = async (variables: Record<string, string>) => {
		const { url, ...options } = redisOptions(readEnv(variables));
		const redis = new Redis(url, { ...options, lazyConnect: true, retryStrategy: () => null });
		// The connection ends with a plain "closed"; why is told here.
		const errors: Error[] = [];
		redis.on("error", error => errors.push(error));
		try {
			await redis.connect();
			return await redis.ping();
		} catch (error) {
			throw errors[0] ?? error;
		} finally {
			redis.disconnect();
		}
	};

	it("is reached with the password in the URL and the TLS files, and with less of these refuses", async () => {
		const { server, url } = await startSecureRedis();
		await using _ = server;
		assert.equal(await ping({ REDIS_URL: url, ...tls(ours, ours) }), "PONG");

		await assert.rejects(ping({ REDIS_URL: url, ...tls(ours) }), /certificate required|ECONNRESET/, "no certificate");
		await assert.rejects(
			ping({ REDIS_URL: url, ...tls(strangers, ours) }),
			/self-signed|certificate/i,
			"another authority"
		);
		await assert.rejects(ping({ REDIS_URL: url }), /self-signed|certificate/i, "Node's authorities");
		const wrong = url.replace(/:[^:@]*@/, ":wrong@");
		await assert.rejects(ping({ REDIS_URL: wrong, ...tls(ours, ours) }), /WRONGPASS|NOAUTH/);
	});
});

describe("A MariaDB with TLS and a user who must show a certificate", { skip }, () => {
	const cipher = async (variables: Record<string, string>) => {
		const url = databaseUrl(readEnv({ JWT_KEYS, ...variables }), "x");
		const { database: _, ...server } = parseMysqlUrl(url);
		const connection = await createConnection(server);
		const [rows] = await connection.query({ sql: "SHOW STATUS LIKE 'Ssl_cipher'", rowsAsArray: true });
		await connection.end();
		return (rows as string[][])[0]?.[1];
	};

	it("is reached with the password in the URL and the TLS files, and with less of these refuses", async () => {
		await using server = await startSecureMariadb();
		const DATABASE_URL = `${withPassword(server.url, "mysql")}/secure_{service}?ssl=true`;
		assert.match((await cipher({ DATABASE_URL, ...tls(ours, ours) })) ?? "", /^TLS_|GCM|CHACHA/);

		await assert.rejects(cipher({ DATABASE_URL, ...tls(ours) }), /Access denied/, "no client certificate");
		await assert.rejects(
			cipher({ DATABASE_URL, ...tls(strangers, ours) }),
			/self-signed|certificate/i,
			"another authority"
		);
		await assert.rejects(cipher({ DATABASE_URL }), /self-signed|certificate/i, "Node's authorities");
		const plain = DATABASE_URL.replace("?ssl=true", "");
		await assert.rejects(cipher({ DATABASE_URL: plain, ...tls(ours, ours) }), /Access denied/);
	});
});

describe("The platform on servers that all ask for TLS, a certificate and a password", { skip }, () => {
	it("migrates, starts as four processes with sealed packets, and serves", async () => {
		await using nats = await startSecureNats(`authorization { user: notemesh, password: "${PASSWORD}" }`);
		const redis = await startSecureRedis();
		await using _ = redis.server;
		await using mariadb = await startSecureMariadb();
		const { certFile, keyFile } = ours;
		await using etcd = await startEtcd({ tls: { certFile, keyFile, trustedCaFile: certFile } });
		const http = await freePort();
		const env = {
			...tls(ours, ours),
			NATS_URL: withPassword(nats.url, "tls"),
			REDIS_URL: redis.url,
			JWT_KEYS,
			MESH_KEYS: `mesh:${"m".repeat(32)}`,
			DATABASE_URL: `${withPassword(mariadb.url, "mysql")}/secure_{service}?ssl=true`,
			ETCD_ENDPOINTS: etcd.url,
			PORT: String(http),
			HOST: "127.0.0.1",
			RATE_LIMIT_PER_MINUTE: "1000",
			RATE_LIMIT_WITHOUT_REDIS: "closed"
		};
		const migration = spawnNode({ args: ["scripts/migrate.ts", "up"], env });
		assert.equal((await migration.exited).code, 0, migration.output);

		const nodes = ["user", "note", "points", "api"].map(service =>
			spawnNode({ args: RUNNER, env: { ...env, SERVICEDIR: `services/${service}`, NODE_NAME: service } })
		);
		try {
			await Promise.all(nodes.map(node => node.waitForLine(/started successfully/)));
			const client = new Client(`http://127.0.0.1:${http}`);
			for (const deadline = Date.now() + 20_000; (await client.send("GET", "/readyz")).status !== 200; ) {
				assert.ok(Date.now() < deadline, nodes.map(node => node.output).join("\n"));
				await new Promise(resolve => setTimeout(resolve, 100));
			}
			const { token } = await client.newUser();
			const created = await client.send("POST", "/v1/note", { token, json: { title: "Secret", content: "x" } });
			assert.equal(created.status, 201);
			assert.equal((await client.send("GET", "/ping")).headers["x-ratelimit-limit"], "1000");
			for (const node of nodes) assert.doesNotMatch(node.output, /p@ss|p%40ss/, "a password in a log");
		} finally {
			for (const node of nodes) await node.stop();
		}
	});
});
