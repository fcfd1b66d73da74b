import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseEnv } from "node:util";
import { DCLinter } from "dclint";
import { parse } from "yaml";
import { readEnv, variables } from "../../lib/env.ts";
import packageJson from "../../package.json" with { type: "json" };

interface Service {
	image: string;
	build?: string;
	user: string;
	read_only: boolean;
	cap_drop: string[];
	security_opt: string[];
	restart: string;
	command?: string[];
	environment?: Record<string, string>;
	depends_on?: Record<string, { condition: string }>;
	volumes?: string[];
	ports?: string[];
	healthcheck?: { test?: string[]; disable?: boolean };
	deploy: { replicas?: number; resources: { limits: { cpus: string; memory: string } } };
}

const text = readFileSync("docker-compose.yml", "utf8");
const file: { services: Record<string, Service>; volumes: Record<string, unknown> } = parse(text, { merge: true });
const services = Object.entries(file.services);
const ours = services.filter(([, service]) => service.build);
const example = parseEnv(readFileSync(".env.example", "utf8"));
const secrets = {
	DB_ROOT_PASSWORD: "root-secret",
	DB_MIGRATE_PASSWORD: "migrate-secret",
	DB_USER_PASSWORD: "user-secret",
	DB_NOTE_PASSWORD: "note-secret",
	DB_POINTS_PASSWORD: "points-secret",
	DB_AUDIT_PASSWORD: "audit-secret",
	DB_LETTER_PASSWORD: "letter-secret",
	JWT_KEYS: `k1:${"x".repeat(32)}`
};

/** What no container of the file needs to be told, and why. */
const LEFT_OUT = new Map([
	["NODE_ENV", "the image sets it"],
	["PORT", "a container has its own, which the file publishes as PORT of the machine"],
	["HOST", "a container listens on all its addresses"],
	["METRICS_HOST", "likewise"],
	["NODE_NAME", "replicas need names of their own: the default has the container's"],
	["NODE_ZONE", "one machine is one zone"],
	["DATA_DIR", "nodes of a mesh keep nothing"],
	...["TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "NATS_CREDS_FILE", "ETCD_USERNAME", "ETCD_PASSWORD"].map(
		name => [name, "the file's own servers, on a network of their own, ask for none"] as const
	)
]);

/** Compose's interpolation, as far as the file uses it: `${NAME:-default}` and `${NAME:?message}`. */
function interpolated(value: string, values: NodeJS.Dict<string>): string {
	return value.replace(/\$\{(\w+):([-?])([^}]*)\}/g, (_, name, kind, rest) => {
		if (!values[name] && kind === "?") throw new Error(`${name} ${rest}`);
		return values[name] || rest;
	});
}

/** The environment of one of our containers, made from a `.env` with these values. */
function environmentOf({ environment = {} }: Service, values: NodeJS.Dict<string>): Record<string, string> {
	const entries = Object.entries(environment).map(([name, value]) => [name, interpolated(value, values)]);
	return { NODE_ENV: "production", ...Object.fromEntries(entries) };
}

describe("docker-compose.yml", () => {
	it("is valid by the schema of the compose specification, and without an error of the linter", () => {
		const linter = new DCLinter({ rules: {}, quiet: false, debug: false, exclude: [] });
		const [result] = linter.lintFiles(["docker-compose.yml"], false);
		assert.deepEqual(
			result?.messages.filter(({ type }: { type: string }) => type === "error"),
			[]
		);
	});

	it("starts what the mesh is made of, note twice", () => {
		const ours = ["api", "audit", "letter", "migrate", "note", "points", "user"];
		const names = [...ours, "etcd", "jaeger", "mysql", "nats", "redis"].sort();
		assert.deepEqual(services.map(([name]) => name).sort(), names);
		assert.equal(file.services.note?.deploy.replicas, 2);
	});

	for (const [name, service] of services)
		it(`runs ${name} from a pinned image, without root and capabilities, read-only, within limits`, () => {
			assert.match(service.image, /:v?\d+\.\d+\.\d+(-\w+)?$/);
			if (service.build) assert.equal(service.image, `notemesh:${packageJson.version}`);
			assert.match(service.user, /^([a-z]+|[1-9]\d*:[1-9]\d*)$/);
			assert.notEqual(service.user, "root");
			assert.equal(service.read_only, true);
			assert.deepEqual(service.cap_drop, ["ALL"]);
			assert.ok(service.security_opt.includes("no-new-privileges:true"));
			assert.ok(service.deploy.resources.limits.cpus);
			assert.ok(service.deploy.resources.limits.memory);
		});

	for (const [name, { healthcheck, restart }] of services)
		it(`checks the health of ${name}, unless it runs to its end`, () => {
			if (restart === "no") assert.equal(healthcheck?.disable, true);
			else assert.equal(healthcheck?.test?.[0], "CMD");
		});

	it("starts a container when what it depends on is healthy or done, in an order without circles", () => {
		const started = new Set<string>();
		const start = (name: string, path: string[]) => {
			assert.ok(!path.includes(name), [...path, name].join(" -> "));
			for (const [needed, { condition }] of Object.entries(file.services[name]?.depends_on ?? {})) {
				const runsToItsEnd = file.services[needed]?.restart === "no";
				assert.equal(condition, runsToItsEnd ? "service_completed_successfully" : "service_healthy", needed);
				start(needed, [...path, name]);
			}
			started.add(name);
		};
		start("api", []);
		assert.deepEqual(
			[...started],
			["mysql", "migrate", "nats", "etcd", "user", "note", "points", "audit", "redis", "api"]
		);
	});

	it("publishes ports on this machine only", () => {
		const ports = services.flatMap(([, service]) => service.ports ?? []);
		assert.equal(ports.length, 2);
		for (const port of ports) assert.match(port, /^127\.0\.0\.1:/);
	});

	it("publishes the metrics, which ask for no login, nowhere", () => {
		const ports = new Set(ours.map(([, { environment }]) => environment?.METRICS_PORT));
		assert.ok(ports.has("9464"));
		const published = services.flatMap(([, service]) => service.ports ?? []);
		assert.deepEqual(
			published.filter(port => ports.has(port.split(":").at(-1))),
			[]
		);
	});

	it("uses no variable that .env.example does not explain", () => {
		const used = [...text.matchAll(/\$\{(\w+)/g)].map(([, name]) => name as string);
		assert.ok(used.length > 0);
		assert.deepEqual(
			used.filter(name => !Object.hasOwn(example, name)),
			[]
		);
	});

	it("sets or hands on every variable, but for those that no container needs", () => {
		const told = new Set(ours.flatMap(([, { environment = {} }]) => Object.keys(environment)));
		const untold = Object.keys(variables).filter(name => !told.has(name));
		assert.deepEqual(untold.sort(), [...LEFT_OUT.keys()].sort());
	});

	it("refuses to start without each of the secrets, and holds none itself", () => {
		for (const missing of Object.keys(secrets))
			assert.throws(() => interpolated(text, { ...secrets, [missing]: "" }), new RegExp(missing));
		for (const [name, { environment = {} }] of services)
			for (const [variable, value] of Object.entries(environment)) {
				if (/(PASSWORD|SECRET|KEYS?|TOKEN)$/.test(variable))
					assert.match(value, /^\$\{\w+:(\?[^}]+|-)\}$/, `${name}: ${variable}`);
				const password = /^\w+:\/\/\w+:([^@]+)@/.exec(value)?.[1];
				if (password) assert.match(password, /^\$\{\w+:\?[^}]+\}$/, `${name}: ${variable}`);
			}
	});

	for (const [name, service] of ours)
		it(`gives ${name} an environment that it accepts, from an unchanged .env with secrets`, () => {
			const set = environmentOf(service, { ...example, ...secrets });
			assert.deepEqual(
				Object.keys(set).filter(variable => !Object.hasOwn(variables, variable)),
				[]
			);
			const env = readEnv(set);
			if (service.command === undefined) assert.ok(existsSync(env.SERVICEDIR), env.SERVICEDIR);
		});

	it("gives the signing key to those who sign or verify only", () => {
		const holders = ours.filter(
			([, service]) => readEnv(environmentOf(service, { ...example, ...secrets })).JWT_KEYS.length > 0
		);
		assert.deepEqual(holders.map(([name]) => name).sort(), ["api", "user"]);
	});

	it("gives each data service the password of its own database user only", () => {
		const passwords = ours.map(([name, service]) => {
			const set = JSON.stringify(environmentOf(service, secrets));
			return [name, Object.values(secrets).filter(secret => set.includes(secret) && secret !== secrets.JWT_KEYS)];
		});
		assert.deepEqual(Object.fromEntries(passwords), {
			api: [],
			user: ["user-secret"],
			note: ["note-secret"],
			audit: ["audit-secret"],
			letter: ["letter-secret"],
			points: ["points-secret"],
			migrate: ["migrate-secret"]
		});
	});

	it("mounts files that exist and volumes that are declared, and runs scripts that exist", () => {
		for (const [, { volumes = [], command = [], healthcheck }] of services) {
			for (const volume of volumes) {
				const source = volume.split(":")[0] as string;
				assert.ok(source.startsWith("./") ? existsSync(source) : Object.hasOwn(file.volumes, source), source);
			}
			for (const word of [...command, ...(healthcheck?.test ?? [])])
				if (word.endsWith(".ts")) assert.ok(existsSync(word), word);
		}
	});
});
