import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { startEtcd } from "../../../scripts/servers/etcd.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { spawnNode } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";

const run = promisify(execFile);
const modules = resolve("node_modules");

/** What the folder's README says that it needs, and what its types need. */
const PACKAGES = ["moleculer", "nats", "etcd3", "cockatiel", "@types/node"];

const PROGRAM = `
import { ServiceBroker } from "moleculer";
import { EtcdDiscoverer, NatsTransporter, RegistryMixin, registryCommands, WeightedStrategy } from "./etcd-registry/index.ts";

const [nats = "", etcd = ""] = process.argv.slice(2);
const start = async (nodeID: string): Promise<ServiceBroker> => {
	const broker = new ServiceBroker({
		nodeID,
		logger: false,
		transporter: new NatsTransporter(nats),
		registry: { discoverer: new EtcdDiscoverer({ endpoints: [etcd] }), strategy: WeightedStrategy, stopDelay: 0 },
		replOptions: { customCommands: registryCommands }
	});
	if (nodeID === "server")
		broker.createService({ name: "greeter", mixins: [RegistryMixin({ weight: 2 })], actions: { hello: () => "hello" } });
	await broker.start();
	return broker;
};
const brokers = [await start("server"), await start("caller")];
console.log(await brokers[1]?.call("greeter.hello"));
for (const broker of brokers) await broker.stop();
`;

describe("mixins/etcd-registry, copied into another project with the packages that its README names", async () => {
	const { skip } = await requireServers("nats", "etcd");
	const folder = temporaryFolder("lift-out");

	before(() => {
		cpSync("mixins/etcd-registry", join(folder, "etcd-registry"), { recursive: true });
		mkdirSync(join(folder, "node_modules/@types"), { recursive: true });
		for (const name of PACKAGES) symlinkSync(join(modules, name), join(folder, "node_modules", name));
		writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
		const { compilerOptions } = JSON.parse(readFileSync("tsconfig.json", "utf8"));
		writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["."] }));
		writeFileSync(join(folder, "program.ts"), PROGRAM);
	});

	it("type-checks under the same strict rules", async () => {
		await assert.doesNotReject(run(join(modules, ".bin/tsc"), ["--project", folder]));
	});

	describe("on real servers", { skip }, () => {
		const stops: (() => Promise<unknown>)[] = [];
		after(() => Promise.all(stops.map(stop => stop())));

		it("finds a service and calls it", async () => {
			const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
			stops.push(
				() => nats.stop(),
				() => etcd.stop()
			);
			const program = spawnNode({ args: ["program.ts", nats.url, etcd.url], cwd: folder });
			assert.deepEqual([(await program.exited).code, program.lines], [0, ["hello"]], program.output);
		});
	});
});
