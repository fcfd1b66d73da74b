import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseEnv } from "node:util";
import { type BrokerOptions, Runner, type RunnerFlags } from "moleculer";
import { readEnv, variables } from "../../lib/env.ts";
import { optionVariables, overwritingVariables } from "../../lib/option-variables.ts";
import { brokerOptions } from "../../moleculer.config.ts";

/** Together they set every option that moleculer.config.ts knows. */
const shapes: Record<string, Record<string, string>> = {
	"the embedded shape": {},
	"a node of a mesh": {
		NATS_URL: "nats://nats",
		ETCD_ENDPOINTS: "etcd:2379",
		REDIS_URL: "redis://redis",
		CACHE: "redis",
		NODE_ZONE: "a",
		METRICS_PORT: "9100",
		MESH_KEYS: `a:${"x".repeat(32)}`,
		JAEGER_AGENT: "jaeger",
		JAEGER_SAMPLER: "ratelimiting",
		JAEGER_SAMPLE_RATE: "5"
	}
};

/** Lets the runner merge options with this environment. @returns the options, and the variables that it looked at */
function merged(environment: NodeJS.ProcessEnv, options: BrokerOptions) {
	const asked = new Set<string>();
	const own = process.env;
	process.env = new Proxy(environment, {
		get(target, name) {
			asked.add(String(name));
			return target[String(name)];
		}
	});
	try {
		const runner = new Runner();
		runner.flags = {} as RunnerFlags;
		runner.mergeOptions(options);
		return { asked, options: runner.config as BrokerOptions };
	} finally {
		process.env = own;
	}
}

const runnerAsks = () =>
	new Set(Object.values(shapes).flatMap(shape => [...merged({}, brokerOptions(readEnv(shape))).asked]));

describe("The variables that must not be set", () => {
	it("are those that moleculer-runner looks at, in whatever shape", () => {
		assert.deepEqual([...optionVariables].sort(), [...runnerAsks()].sort());
	});

	const overwriting: [name: string, value: string][] = [
		["NAMESPACE", "prod"],
		["NODEID", "node-1"],
		["VALIDATOR", "false"],
		["REQUESTTIMEOUT", "abc"],
		["MIDDLEWARES", "x"],
		["TRANSPORTER", "NATS"],
		["LOGGER", " "],
		["TRACING", "0"],
		["METRICS_ENABLED", "true"],
		["REGISTRY_STRATEGY", "Random"],
		["METADATA_METRICS_PORT", "1"],
		["MOL_VALIDATOR", "false"],
		["MOL_REQUEST_TIMEOUT", ""],
		["MOL_REGISTRY__PREFER_LOCAL", "false"],
		["MOL_ANYTHING", "1"]
	];
	for (const [name, value] of overwriting)
		it(`count ${name}=${value}, with which the runner changes an option`, () => {
			const options = () => ({ requestTimeout: 10_000, metadata: { metrics: { port: 9100 } } });
			assert.notDeepEqual(merged({ [name]: value }, options()).options, merged({}, options()).options);
			assert.deepEqual(overwritingVariables({ [name]: value }), [name]);
		});

	it("are named in one message with the bad ones", () => {
		const environment = { NAMESPACE: "prod", MOL_CACHER: "Memory", PORT: "x" };
		assert.throws(() => readEnv(environment, overwritingVariables), {
			message: [
				"The environment is not valid:",
				"  - NAMESPACE must not be set: moleculer-runner would overwrite a broker option with it",
				"  - MOL_CACHER must not be set: moleculer-runner would overwrite a broker option with it",
				"  - PORT must be an integer from 0 to 65535"
			].join("\n")
		});
	});

	it("are none of ours, none that is empty, and none that shells, npm, Docker, Kubernetes or CI set", () => {
		const example = parseEnv(readFileSync(".env.example", "utf8"));
		const ours = [...Object.keys(variables), ...Object.keys(example)].map(name => [name, "1"]);
		assert.deepEqual(overwritingVariables(Object.fromEntries(ours)), []);
		assert.deepEqual(overwritingVariables({ NAMESPACE: "", VALIDATOR: "" }), []);
		const usual = [
			"HOME",
			"HOSTNAME",
			"LOGNAME",
			"PATH",
			"PWD",
			"SHELL",
			"TERM",
			"USER",
			"NODE_OPTIONS",
			"NODE_VERSION",
			"npm_config_registry",
			"npm_lifecycle_event",
			"npm_package_name",
			"INIT_CWD",
			"CI",
			"GITHUB_ACTIONS",
			"MOLECULER_CONFIG",
			"KUBERNETES_SERVICE_HOST",
			"KUBERNETES_PORT",
			"REGISTRY_PORT",
			"REGISTRY_SERVICE_HOST",
			"METRICS_SERVICE_HOST",
			"TRACING_PORT_80_TCP",
			"POD_NAMESPACE",
			"LOG_LEVEL",
			"CACHE"
		];
		assert.deepEqual(overwritingVariables(Object.fromEntries(usual.map(name => [name, "1"]))), []);
	});
});
