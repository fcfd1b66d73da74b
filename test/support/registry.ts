import { join } from "node:path";
import { after, before, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Etcd3, type Namespace } from "etcd3";
import { type BrokerOptions, ServiceBroker, type ServiceSchema } from "moleculer";
import {
	EtcdDiscoverer,
	type EtcdDiscovererOptions,
	NatsTransporter,
	type NatsTransporterOptions,
	RegistryMixin
} from "../../mixins/etcd-registry/index.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { type NodeProcess, spawnNode } from "./processes.ts";
import type { RegistryNodeOptions } from "./registry-node.ts";
import { until } from "./until.ts";

/** A TTL short enough for tests: the shortest that the registry takes. */
export const SHORT_TTL = 2;

export interface Servers {
	nats: Pick<LocalServer, "url">;
	etcd: Pick<LocalServer, "url">;
}

/** Servers of a suite's own, with a client of its etcd. */
export interface SuiteServers {
	nats: LocalServer;
	etcd: LocalServer;
	client: Etcd3;
}

/** NATS and etcd that run for the suite around the call, to be used in its hooks and tests. */
export function suiteServers(): SuiteServers {
	const servers = {} as SuiteServers;
	before(async () => {
		const [nats, etcd] = await Promise.all([startNats(), startEtcd()]);
		Object.assign(servers, { nats, etcd, client: etcdClient(etcd) });
	});
	after(async () => {
		servers.client?.close();
		await Promise.all([servers.nats?.stop(), servers.etcd?.stop()]);
	});
	return servers;
}

export interface TestNodeOptions {
	nodeID: string;
	services?: ServiceSchema[];
	discoverer?: Partial<EtcdDiscovererOptions>;
	nats?: Exclude<NatsTransporterOptions, string | undefined>;
	broker?: BrokerOptions;
}

/** A broker with the registry, not started yet, in this process. */
export function makeNode(servers: Servers, options: TestNodeOptions): ServiceBroker {
	const { nodeID, services = [], discoverer, nats, broker } = options;
	const node = new ServiceBroker({
		nodeID,
		logger: false,
		skipProcessEventRegistration: true,
		metrics: { enabled: true, collectProcessMetrics: false },
		transporter: new NatsTransporter({ url: servers.nats.url, ...nats }),
		...broker,
		registry: {
			stopDelay: 0,
			preferLocal: false,
			...broker?.registry,
			discoverer: new EtcdDiscoverer({ endpoints: [servers.etcd.url], ttl: SHORT_TTL, ...discoverer })
		}
	});
	for (const service of services) node.createService(service);
	return node;
}

/** Starts a broker with the registry in this process. */
export async function startNode(servers: Servers, options: TestNodeOptions): Promise<ServiceBroker> {
	const node = makeNode(servers, options);
	await node.start();
	return node;
}

/** A service whose actions tell where they ran. */
export function greeter(options: Parameters<typeof RegistryMixin>[0] = {}, name = "greeter"): ServiceSchema {
	return {
		name,
		mixins: [RegistryMixin(options)],
		actions: {
			where(): string {
				return this.broker.nodeID;
			},
			async wait(ctx): Promise<string> {
				await delay(ctx.params.time);
				return this.broker.nodeID;
			}
		}
	};
}

export function discovererOf(node: ServiceBroker): EtcdDiscoverer {
	return node.registry.discoverer as EtcdDiscoverer;
}

/** Value of a metric of the registry, e.g. `outages.total`; 0 where nothing was counted yet. */
export function metricOf(node: ServiceBroker, name: string): number {
	const metric = node.metrics.getMetric(`moleculer.discoverer.etcd.${name}`) as { get(): { value: number } | null };
	return metric.get()?.value ?? 0;
}

/** Whether `observer` has `nodeID` as an available node with the service. */
export function sees(observer: ServiceBroker, nodeID: string, service = "greeter"): boolean {
	return (
		observer.registry.nodes.get(nodeID)?.available === true &&
		observer.registry.hasService(service, nodeID) &&
		observer.registry.getActionEndpointByNodeId(`${service}.where`, nodeID) !== null
	);
}

/** Local events of a broker, as `[name, payload]`, in order. */
export function record(node: ServiceBroker, ...names: string[]): [string, Record<string, unknown>][] {
	const events: [string, Record<string, unknown>][] = [];
	for (const name of names) node.localBus.on(name, payload => events.push([name, payload]));
	return events;
}

/** Stops brokers at the end of a test, whatever happened to them. */
export async function stopNodes(...nodes: (ServiceBroker | undefined)[]): Promise<void> {
	await Promise.all(nodes.map(node => node?.stop()));
}

/** An etcd client for looking at keys and changing them by hand. */
export function etcdClient(etcd: Pick<LocalServer, "url">): Etcd3 {
	return new Etcd3({ hosts: etcd.url });
}

/** Calls an action without pause from `workers` loops and keeps what failed. */
export class Load {
	readonly failures: Error[] = [];
	readonly nodes = new Map<string, number>();
	calls = 0;
	#stopped = false;
	readonly #loops: Promise<void>[];

	constructor(caller: ServiceBroker, { action = "greeter.where", workers = 2, pause = 5, timeout = 2000 } = {}) {
		this.#loops = Array.from({ length: workers }, () => this.#loop(caller, action, pause, timeout));
	}

	async stop(): Promise<void> {
		this.#stopped = true;
		await Promise.all(this.#loops);
	}

	async #loop(caller: ServiceBroker, action: string, pause: number, timeout: number): Promise<void> {
		while (!this.#stopped) {
			this.calls++;
			try {
				const node = await caller.call<string, object>(action, {}, { timeout });
				this.nodes.set(node, (this.nodes.get(node) ?? 0) + 1);
			} catch (error) {
				this.failures.push(error as Error);
			}
			await delay(pause);
		}
	}
}

/** Starts a node in a process of its own (see `registry-node.ts`) and waits until it is up. */
export async function spawnRegistryNode(
	servers: Servers,
	nodeID: string,
	{ discoverer, ...options }: Partial<RegistryNodeOptions> = {}
): Promise<NodeProcess> {
	const settings: RegistryNodeOptions = {
		nodeID,
		nats: servers.nats.url,
		discoverer: { endpoints: [servers.etcd.url], ttl: SHORT_TTL, ...discoverer },
		...options
	};
	const node = spawnNode({ args: [join(import.meta.dirname, "registry-node.ts"), JSON.stringify(settings)] });
	await node.waitForLine(/"event":"started"/);
	return node;
}

let scenes = 0;

/** A mesh of one test on servers that it shares with others, in a namespace of its own: tests may run side by side. */
export class Scene {
	readonly namespace: string;
	/** The keys of the namespace, without their prefix. */
	readonly keys: Namespace;
	readonly nodes: ServiceBroker[] = [];
	readonly #servers: Servers;
	readonly #processes: NodeProcess[] = [];

	/** @param namespace the broker's; one that no other test has, where not given */
	constructor(context: TestContext, servers: SuiteServers, namespace = `test${++scenes}`) {
		this.namespace = namespace;
		this.keys = servers.client.namespace(`moleculer${namespace && "-"}${namespace}/`);
		this.#servers = servers;
		context.after(async () => {
			await Promise.all([stopNodes(...this.nodes), ...this.#processes.map(node => node.kill())]);
			await this.keys.delete().all();
		});
	}

	/** A node in this process, not started yet; it is stopped with the test. */
	make({ broker, ...options }: TestNodeOptions): ServiceBroker {
		const node = makeNode(this.#servers, { ...options, broker: { namespace: this.namespace, ...broker } });
		this.nodes.push(node);
		return node;
	}

	/** The same, started. */
	async add(options: TestNodeOptions): Promise<ServiceBroker> {
		const node = this.make(options);
		await node.start();
		return node;
	}

	/** Starts nodes with a greeter each, and waits until all nodes of this process see all. */
	async start<Ids extends string[]>(...ids: Ids): Promise<{ [Index in keyof Ids]: ServiceBroker }> {
		const started = await Promise.all(ids.map(nodeID => this.add({ nodeID, services: [greeter()] })));
		for (const observer of this.nodes)
			await until("all nodes see all", () => this.nodes.every(node => sees(observer, node.nodeID)));
		return started as { [Index in keyof Ids]: ServiceBroker };
	}

	/** Starts a node in a process of its own; it is killed with the test. */
	async spawn(nodeID: string, options?: Parameters<typeof spawnRegistryNode>[2]): Promise<NodeProcess> {
		const node = await spawnRegistryNode(this.#servers, nodeID, { namespace: this.namespace, ...options });
		this.#processes.push(node);
		return node;
	}

	async keysUnder(prefix: string): Promise<string[]> {
		return this.keys.getAll().prefix(prefix).keys();
	}
}
