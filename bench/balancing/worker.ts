// A node of the balancing bench: `node worker.ts '<json>'`. Its action takes a fixed time.
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import { type Registry, registryOptions } from "./registry.ts";

interface WorkerOptions extends Registry {
	nodeID: string;
	/** Milliseconds that a call waits. */
	wait: number;
	/** Milliseconds that a call keeps the processor busy: then calls wait for each other. */
	burn: number;
}

const { nodeID, wait, burn, ...registry }: WorkerOptions = JSON.parse(process.argv[2] ?? "{}");
const broker = new ServiceBroker({ nodeID, logger: false, ...registryOptions(registry) });
broker.createService({
	name: "worker",
	mixins: [RegistryMixin()],
	actions: {
		async work(): Promise<string> {
			const end = performance.now() + burn;
			while (performance.now() < end);
			await delay(wait);
			return nodeID;
		}
	}
});
await broker.start();
console.log("started");
