// One node of the benchmark: `node node.ts '<json>'`. It prints what it sees as lines `@{...}` on stdout.
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { EtcdDiscoverer, NatsTransporter, RegistryMixin } from "../../mixins/etcd-registry/index.ts";

export type Kind = "local" | "etcd3" | "ours";

export interface BenchNodeOptions {
	kind: Kind;
	nodeID: string;
	nats: string;
	etcd: string;
	/** Serves the action that callers call. */
	worker: boolean;
	/** Calls per second; each is made whether or not earlier ones were answered. */
	rate?: number;
	/** moleculer's retry policy. */
	retry?: boolean;
}

const CALL_TIMEOUT = 2000;
const REPORT_INTERVAL = 200;
const options: BenchNodeOptions = JSON.parse(process.argv[2] ?? "{}");
const { kind, nodeID, rate = 0 } = options;

function print(event: string, data: object = {}): void {
	console.log(`@${JSON.stringify({ event, at: performance.timeOrigin + performance.now(), ...data })}`);
}

process.prependListener("SIGTERM", () => print("leaving"));

const broker = new ServiceBroker({
	nodeID,
	logger: false,
	requestTimeout: CALL_TIMEOUT,
	transporter: kind === "ours" ? new NatsTransporter(options.nats) : options.nats,
	retryPolicy: { enabled: options.retry ?? false, retries: 8, delay: 50, factor: 1.5, maxDelay: 1000 },
	registry: {
		preferLocal: false,
		...(kind === "ours" ? { discoverer: new EtcdDiscoverer({ endpoints: [options.etcd] }) } : {}),
		...(kind === "etcd3" ? { discoverer: { type: "Etcd3", options: { etcd: { hosts: options.etcd } } } } : {})
	}
} as ConstructorParameters<typeof ServiceBroker>[0]);

if (options.worker) {
	broker.createService({
		name: "bench",
		mixins: kind === "ours" ? [RegistryMixin()] : [],
		actions: { where: () => nodeID }
	});
}

const serving = new Set<string>();
broker.localBus.on("$services.changed", () => {
	for (const id of broker.registry.nodes.nodes.keys()) {
		const serves = broker.registry.hasService("bench", id);
		if (serves === serving.has(id) || id === nodeID) continue;
		if (serves) serving.add(id);
		else serving.delete(id);
		print(serves ? "joined" : "left", { node: id });
	}
});
broker.localBus.on("$broker.started", () => print("started"));

await broker.start();
print("ready");

let good = 0;
let failed = 0;
const errors: Record<string, number> = {};
if (rate > 0) {
	setInterval(() => print("calls", { good, failed, errors }), REPORT_INTERVAL);
	for (let next = performance.now(); ; next += 1000 / rate) {
		await delay(Math.max(0, next - performance.now()));
		broker.call("bench.where").then(
			() => good++,
			error => {
				failed++;
				errors[error.type ?? error.name] = (errors[error.type ?? error.name] ?? 0) + 1;
			}
		);
	}
}
