// A node of its own process for the registry's tests and benchmarks: `node registry-node.ts '<json>'`. It prints one
// JSON line per event, prefixed with `@`, beside the broker's log.
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import type { EtcdDiscovererOptions, RegistryMixinOptions } from "../../mixins/etcd-registry/index.ts";
import { EtcdDiscoverer, NatsTransporter, RegistryMixin } from "../../mixins/etcd-registry/index.ts";

const CALL_PAUSE = 20;

/** The JSON argument. */
export interface RegistryNodeOptions {
	nodeID: string;
	/** URL of NATS. */
	nats: string;
	/** How soon a silent NATS server counts as lost, in milliseconds. */
	natsPingInterval?: number;
	/** Call this node all the time, and print what fails. */
	calls?: string;
	discoverer: EtcdDiscovererOptions;
	service?: RegistryMixinOptions;
	namespace?: string;
}

const options: RegistryNodeOptions = JSON.parse(process.argv[2] ?? "{}");

function print(event: string, data: object = {}): void {
	console.log(`@${JSON.stringify({ event, at: Date.now(), ...data })}`);
}

const broker = new ServiceBroker({
	nodeID: options.nodeID,
	namespace: options.namespace ?? "",
	logLevel: "warn",
	transporter: new NatsTransporter({
		url: options.nats,
		...(options.natsPingInterval ? { pingInterval: options.natsPingInterval } : {})
	}),
	registry: { discoverer: new EtcdDiscoverer(options.discoverer) }
});

let executed = 0;
broker.createService({
	name: "greeter",
	mixins: [RegistryMixin(options.service)],
	actions: {
		where: () => broker.nodeID,
		async wait(ctx): Promise<string> {
			print("waiting");
			await delay(ctx.params.time);
			return broker.nodeID;
		},
		count: () => ++executed,
		executed: () => executed,
		block(ctx): string {
			setImmediate(() => {
				const end = Date.now() + ctx.params.time;
				while (Date.now() < end);
			});
			return broker.nodeID;
		}
	}
});

await broker.start();
print("started", { pid: process.pid });

while (options.calls) {
	await broker
		.call("greeter.where", {}, { nodeID: options.calls, timeout: 1000 })
		.catch(error => print("failed", { message: String(error) }));
	await delay(CALL_PAUSE);
}
