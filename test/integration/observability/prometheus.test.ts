import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type LocalMesh, startLocalMesh } from "../../../scripts/local-mesh.ts";
import type { NodeProcess } from "../../../scripts/node-process.ts";
import { startPrometheus } from "../../../scripts/servers/prometheus.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { Client } from "../../support/client.ts";
import { DEPLOY, localPrometheusConfig, metricsIn, panelExpressions, ruleExpressions } from "../../support/deploy.ts";
import { freePort } from "../../support/processes.ts";
import { PrometheusClient, promtool } from "../../support/prometheus.ts";
import { requireServers } from "../../support/servers.ts";

const servers = await requireServers("nats", "etcd", "mariadb", "redis", "prometheus");
const file = (name: string) => join(DEPLOY, "prometheus", name);

describe("The configuration of Prometheus", await requireServers("prometheus"), () => {
	it("is valid", async () => {
		await promtool("check", "config", file("prometheus.yml"));
	});
	it("has valid rules", async () => {
		await promtool("check", "rules", file("rules.yml"));
	});
	it("has alerts that fire when they should, and else do not", async () => {
		await promtool("test", "rules", file("rules.test.yml"));
	});
});

describe("Prometheus on a mesh", { skip: servers.skip }, () => {
	const dataDir = mkdtempSync(join(tmpdir(), "notemesh-metrics-"));
	let mesh: LocalMesh;
	let client: Client;
	let server: LocalServer;
	let prometheus: PrometheusClient;

	const startNode = async (service: string, name: string): Promise<NodeProcess & { metrics: string }> => {
		const port = await freePort();
		const env = { METRICS_PORT: String(port), METRICS_HOST: "127.0.0.1", CACHE: "redis" };
		return Object.assign(await mesh.startNode(service, name, env), { metrics: `http://127.0.0.1:${port}` });
	};

	before(async () => {
		const http = await freePort();
		mesh = await startLocalMesh({ dataDir, ports: { http } });
		const [user, api] = await Promise.all([
			startNode("user", "user-1"),
			startNode("api", "api-1"),
			startNode("note", "note-1"),
			startNode("points", "points-1"),
			startNode("audit", "audit-1")
		]);
		client = new Client(`http://127.0.0.1:${http}`);
		await mesh.ready();
		server = await startPrometheus({
			dataDir: join(dataDir, "prometheus"),
			config: localPrometheusConfig([api.metrics, user.metrics])
		});
		prometheus = new PrometheusClient(server.url);
	});
	after(async () => {
		await server?.stop();
		await mesh?.stop();
		rmSync(dataDir, { recursive: true, force: true });
	});

	it("scrapes every node, and answers what was asked how often", async () => {
		await prometheus.until("up == 1", series => series.length === 5);
		const { token } = await client.newUser();
		for (let i = 0; i < 5; i++) await client.send("GET", "/v1/note/query", { token });
		const asked = 'http_requests_total{route="/v1/note/query", status="200"}';
		const [requests] = await prometheus.until(asked, ([series]) => series?.value === 5);
		assert.deepEqual([requests?.labels.node, requests?.labels.services], ["api-1", "api"]);
		const [pool] = await prometheus.query('db_pool_size{service="note"}');
		assert.equal(pool?.value, 10);
		// A rate is known of what has grown between two scrapes.
		await client.send("GET", "/v1/note/query", { token });
		await client.send("GET", "/v1/note/12345", { token });
		const slowest = "notemesh:http_time:p99_rate5m";
		const [p99] = await prometheus.until(slowest, ([series]) => Number.isFinite(series?.value));
		assert.ok((p99?.value as number) < 10_000);
	});

	it("has every metric that a rule or a dashboard asks for", async () => {
		await prometheus.until("notemesh:http_errors:ratio_rate5m", series => series.length === 1);
		// What is read of a database every 15 s.
		for (const gauge of ["saga_stuck", "audit_gaps"]) await prometheus.until(gauge, series => series.length > 0);
		const there = new Set([...(await prometheus.names()), "ALERTS"]);
		const asked = [...ruleExpressions(), ...panelExpressions()];
		assert.ok(asked.length > 40);
		const missing = asked.flatMap(({ name, expression }) =>
			metricsIn(expression)
				.filter(metric => !there.has(metric))
				.map(metric => `${metric}, of ${name}`)
		);
		assert.deepEqual(missing, []);
	});

	it("understands every expression of a dashboard", async () => {
		for (const { name, expression } of panelExpressions()) {
			const concrete = expression
				.replaceAll("$__rate_interval", "1m")
				.replaceAll("$node", ".*")
				.replaceAll("$route", "/ping");
			await assert.doesNotReject(prometheus.query(concrete), name);
		}
	});

	it("counts that NATS was lost and found", async () => {
		await mesh.servers.nats.kill();
		await mesh.servers.nats.start();
		await prometheus.until(
			"transporter_reconnects_total",
			series => series.length === 5 && series.every(s => s.value >= 1)
		);
		await mesh.ready();
	});

	it("finds a node that joins, forgets one that leaves, and keeps asking one that died", async () => {
		const notes = 'up{services="note"}';
		const second = await startNode("note", "note-2");
		const third = await startNode("note", "note-3");
		await prometheus.until(`${notes} == 1`, series => series.length === 3);

		await second.stop();
		await prometheus.until(notes, series => !series.some(({ labels }) => labels.node === "note-2"));
		await third.kill();
		await prometheus.until(`${notes} == 0`, ([dead]) => dead?.labels.node === "note-3");
		await prometheus.until('ALERTS{alertname="NodeDown"}', ([alert]) => alert?.labels.node === "note-3");
		assert.deepEqual(await prometheus.query('ALERTS{alertname="NoNoteNode"}'), []);
	});
});
