import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DCLinter } from "dclint";
import { parse } from "yaml";
import { DEPLOY, dashboards, metricsIn, ruleExpressions } from "../../support/deploy.ts";

interface Service {
	image: string;
	user: string;
	read_only: boolean;
	cap_drop: string[];
	profiles: string[];
	volumes?: string[];
	ports?: string[];
	healthcheck: { test?: string[]; disable?: boolean };
	deploy: { resources: { limits: { cpus: string; memory: string } } };
}

interface ComposeFile {
	include?: string[];
	services: Record<string, Service>;
	networks: unknown;
	volumes: object;
}

const read = (path: string) => readFileSync(join(DEPLOY, path), "utf8");
const yaml = <T>(path: string) => parse(read(path), { merge: true }) as T;
const file = yaml<ComposeFile>("compose.observability.yml");
const mesh = yaml<ComposeFile>("../docker-compose.yml");

describe("deploy/compose.observability.yml", () => {
	it("is valid by the schema of the compose specification, and without an error of the linter", () => {
		const linter = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] });
		const [result] = linter.lintFiles(["deploy/compose.observability.yml"], false);
		const errors = result?.messages.filter(({ type }: { type: string }) => type === "error");
		assert.deepEqual(errors, []);
	});

	it("is included by docker-compose.yml, and defines nothing that stands there otherwise", () => {
		assert.deepEqual(mesh.include, ["deploy/compose.observability.yml"]);
		assert.deepEqual(file.networks, mesh.networks);
		const twice = Object.keys({ ...file.services, ...file.volumes }).filter(
			name => Object.hasOwn(mesh.services, name) || Object.hasOwn(mesh.volumes, name)
		);
		assert.deepEqual(twice, []);
	});

	for (const [name, service] of Object.entries(file.services))
		it(`runs ${name} on request only, from a pinned image, without root, for this machine only`, () => {
			assert.ok(service.profiles.length > 0);
			assert.match(service.image, /:v?\d+\.\d+\.\d+$/);
			assert.match(service.user, /^(nobody|[1-9]\d*:\d+)$/);
			assert.equal(service.read_only, true);
			assert.deepEqual(service.cap_drop, ["ALL"]);
			assert.ok(service.healthcheck.disable || service.healthcheck.test?.[0] === "CMD");
			assert.ok(service.deploy.resources.limits.memory);
			for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/);
			for (const volume of service.volumes ?? []) {
				const source = volume.split(":")[0] as string;
				const isThere = source.startsWith("./")
					? existsSync(join(DEPLOY, source))
					: Object.hasOwn(file.volumes, source);
				assert.ok(isThere, source);
			}
		});
});

describe("What the parts of the observability profile say of each other", () => {
	const named = (text: string) =>
		[...text.matchAll(/(?:https?:\/\/|[[" ])([a-z-]+):\d{4,5}\b/g)].map(([, host]) => host);
	const hosts = [...Object.keys(file.services), ...Object.keys(mesh.services), "localhost"];

	for (const path of [
		"prometheus/prometheus.yml",
		"otel-collector/config.yml",
		"grafana/provisioning/datasources/notemesh.yml",
		"compose.observability.yml"
	])
		it(`is true of the hosts in ${path}`, () => {
			const unknown = named(read(path)).filter(host => !hosts.includes(host as string));
			assert.deepEqual(unknown, []);
		});

	it("is true of the collector's pipelines: each part is configured, and each configured part is used", () => {
		type Parts = Record<string, unknown>;
		interface Collector {
			receivers: Parts;
			processors: Parts;
			exporters: Parts;
			service: { pipelines: Record<string, Record<"receivers" | "processors" | "exporters", string[]>> };
		}
		const { service, ...collector } = yaml<Collector>("otel-collector/config.yml");
		for (const kind of ["receivers", "processors", "exporters"] as const) {
			const used = new Set(Object.values(service.pipelines).flatMap(pipeline => pipeline[kind]));
			assert.deepEqual([...used].sort(), Object.keys(collector[kind]).sort());
		}
	});

	it("is true of the data sources of every panel", () => {
		const { datasources } = yaml<{ datasources: { uid: string }[] }>("grafana/provisioning/datasources/notemesh.yml");
		const uids = new Set(datasources.map(({ uid }) => uid));
		assert.equal(dashboards().length, 2);
		for (const { panels } of dashboards())
			for (const { title, datasource } of panels) assert.ok(uids.has(datasource.uid), title);
	});

	it("is true of the alerts: each is in the handbook, each in the handbook is there", () => {
		const alerts = ruleExpressions().filter(({ name }) => /^[A-Z]/.test(name));
		const handbook = readFileSync("docs/operations-alerts.md", "utf8");
		const headings = [...handbook.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
		assert.deepEqual(headings.sort(), alerts.map(({ name }) => name).sort());
		const tests = read("prometheus/rules.test.yml");
		for (const { name } of alerts) assert.match(tests, new RegExp(`alertname: ${name}\\b`), `a test of ${name}`);
		const routed = [...read("alertmanager/alertmanager.yml").matchAll(/alertname=~?"([^"]+)"/g)];
		for (const name of routed.flatMap(([, names]) => names?.split("|") ?? []))
			assert.ok(headings.includes(name), `${name} of Alertmanager`);
	});

	it("is parsed by the test support as PromQL is meant", () => {
		const expression =
			'sum by (le, a) (rate(x_total{route=~"y_total"}[5m])) / on (b) z:r_5m or vector(0) > 2e3 and $node';
		assert.deepEqual(metricsIn(expression), ["x_total", "z:r_5m"]);
		assert.ok(readdirSync(join(DEPLOY, "grafana/dashboards")).every(name => name.endsWith(".json")));
	});
});
