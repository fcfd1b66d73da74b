import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Etcd3 } from "etcd3";
import type { ServiceBroker } from "moleculer";
import { RUNNER } from "../../../scripts/local-mesh.ts";
import { spawnNode } from "../../../scripts/node-process.ts";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { createCertificate } from "../../support/certificates.ts";
import {
	discovererOf,
	greeter,
	makeNode,
	metricOf,
	record,
	sees,
	startNode,
	stopNodes
} from "../../support/registry.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const TOKEN_TTL = 2;

describe("An etcd with authentication", await requireServers("nats", "etcd"), () => {
	let servers: { nats: LocalServer; etcd: LocalServer };
	let nodes: ServiceBroker[] = [];
	const auth = { username: "registry", password: "secret" };

	before(async () => {
		const args = ["--auth-token-ttl", String(TOKEN_TTL)];
		const [nats, etcd] = await Promise.all([startNats(), startEtcd({ args })]);
		servers = { nats, etcd };
		const client = new Etcd3({ hosts: etcd.url });
		await client.user("root").create("root");
		await client.user("root").addRole("root");
		const role = await client.role("registry").create();
		await role.grant({ permission: "Readwrite", range: client.range({ start: "moleculer/", end: "moleculer0" }) });
		await client.user(auth.username).create(auth.password);
		await client.user(auth.username).addRole("registry");
		await client.auth.authEnable();
		client.close();
	});
	after(() => Promise.all([servers.nats.stop(), servers.etcd.stop()]));
	afterEach(async () => {
		await stopNodes(...nodes);
		nodes = [];
	});

	async function start(...ids: string[]): Promise<ServiceBroker[]> {
		nodes = await Promise.all(
			ids.map(nodeID => startNode(servers, { nodeID, services: [greeter()], discoverer: { auth } }))
		);
		for (const node of nodes) await until("all see all", () => ids.every(id => sees(node, id)));
		return nodes;
	}

	it("renews its token when that has expired, also after a restart of etcd (defect 8)", async () => {
		const [one, two] = (await start("one", "two")) as [ServiceBroker, ServiceBroker];

		await delay((TOKEN_TTL + 2) * 1000);
		two.createService(greeter({}, "after.expiry"));
		await until("one sees a service that was added after the expiry", () => sees(one, "two", "after.expiry"));

		await servers.etcd.kill();
		await delay(500);
		await servers.etcd.start();
		two.createService(greeter({}, "after.restart"));
		await until("one sees a service that was added after the restart", () => sees(one, "two", "after.restart"));
		assert.equal(metricOf(one, "leaseLosses.total"), 0);
	});

	it("reports a wrong password, keeps trying, and does not keep the broker from starting", async () => {
		const wrong = { auth: { username: "registry", password: "guess" }, startTimeout: 200 };
		const node = makeNode(servers, { nodeID: "intruder", discoverer: wrong });
		nodes = [node];
		const errors = record(node, "$discoverer.error");

		await node.start();
		await until("it was reported more than once", () => errors.length > 1);
		assert.match(String(errors[0]?.[1].error), /authentication failed/i);
	});
});

describe("An etcd with TLS", await requireServers("nats", "etcd"), () => {
	it("is used over https with the given authority and client certificate, and not without", async () => {
		const certificate = await createCertificate();
		const [nats, etcd] = await Promise.all([
			startNats(),
			startEtcd({ tls: { ...certificate, trustedCaFile: certificate.certFile } })
		]);
		const [cert, key] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
		const servers = { nats, etcd };
		const discoverer = { tls: { ca: cert, cert, key } };
		const nodes = await Promise.all(
			["one", "two"].map(nodeID => startNode(servers, { nodeID, services: [greeter()], discoverer }))
		);
		const stranger = makeNode(servers, { nodeID: "stranger", discoverer: { tls: { ca: cert }, startTimeout: 500 } });
		try {
			for (const node of nodes) await until("both see both", () => sees(node, "one") && sees(node, "two"));
			await stranger.start();
			assert.equal(discovererOf(stranger).link.endpoint, undefined);
			assert.equal(stranger.registry.nodes.has("one"), false);
		} finally {
			await stopNodes(...nodes, stranger);
			await Promise.all([nats.stop(), etcd.stop()]);
		}
	});

	it("is shown the certificate of TLS_CERT_FILE also without a TLS_CA_FILE, where Node knows its authority", async t => {
		const { certFile, keyFile } = await createCertificate();
		await using nats = await startNats();
		await using etcd = await startEtcd({ tls: { certFile, keyFile, trustedCaFile: certFile } });
		const env = {
			NATS_URL: nats.url,
			ETCD_ENDPOINTS: etcd.url,
			DATA_DIR: temporaryFolder("secure-etcd"),
			NODE_EXTRA_CA_CERTS: certFile,
			TLS_CERT_FILE: certFile,
			TLS_KEY_FILE: keyFile,
			SERVICEDIR: "services/note",
			NODE_NAME: "note-1"
		};
		await using node = spawnNode({ args: RUNNER, env });
		await node.waitForLine(/started successfully/);

		const [certificate, privateKey] = await Promise.all([readFile(certFile), readFile(keyFile)]);
		const credentials = { rootCertificate: certificate, privateKey, certChain: certificate };
		const client = new Etcd3({ hosts: etcd.url, credentials });
		t.after(() => client.close());
		const keys = () => client.getAll().prefix("moleculer/").keys();
		await until("the node is in etcd", async () => (await keys()).some(key => key.includes("note-1")));
	});
});
