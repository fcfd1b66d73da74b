import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QueryTypes } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { type LocalMesh, startLocalMesh } from "../../scripts/local-mesh.ts";
import type { NodeProcess } from "../../scripts/node-process.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { Namespace } from "../support/namespaces.ts";
import { freePort } from "../support/processes.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import type { Platform } from "./platform.ts";

/** The nodes: two of what requests go through, one of the rest. */
const NODES = {
	"user-1": "user",
	"points-1": "points",
	"audit-1": "audit",
	"note-1": "note",
	"note-2": "note",
	"api-1": "api",
	"api-2": "api"
} as const;

export type NodeName = keyof typeof NODES;
export type ServerName = keyof LocalMesh["servers"];

/** Counted, yet far beyond what a run asks for: Redis has work, and nobody is refused. */
const LIMITS = {
	RATE_LIMIT_PER_MINUTE: "1000000",
	LOGIN_LIMIT_PER_MINUTE: "1000000",
	USER_LIMIT_PER_MINUTE: "1000000"
};
/** How far a clock may be from what was asked for: it is looked at some seconds later. */
const CLOCK_TOLERANCE_S = 60;
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/** The mesh under test: real servers and processes, and what can be done to them. */
export class Mesh implements Platform {
	readonly gateways: readonly string[];
	readonly servers: Readonly<Record<ServerName, LocalServer>>;
	/** A way to the database that can be made slow; nodes take it where `restart` says so. */
	readonly slowWay: TcpProxy;
	readonly #mesh: LocalMesh;
	readonly #ports: readonly number[];
	readonly #nodes = new Map<NodeName, NodeProcess>();
	readonly #killed = new Set<NodeProcess>();
	readonly #clockFile = join(temporaryFolder("clock"), "offset");
	#host: Host | undefined;

	private constructor(mesh: LocalMesh, ports: number[], slowWay: TcpProxy) {
		this.#mesh = mesh;
		this.#ports = ports;
		this.slowWay = slowWay;
		this.servers = mesh.servers;
		this.gateways = ports.map(port => `http://127.0.0.1:${port}`);
	}

	/**
	 * Starts servers and nodes, and waits until the gateways say that all is ready.
	 * @param logs folder that keeps what the nodes print
	 */
	static async start(logs?: string): Promise<Mesh> {
		const onLine = (node: string, line: string) => logs && appendFileSync(join(logs, `${node}.log`), `${line}\n`);
		const ports = [await freePort(), await freePort()];
		const env = { ...LIMITS, NODE_ENV: "production", HOST: "127.0.0.1" };
		const dataDir = temporaryFolder("chaos");
		const local = await startLocalMesh({ dataDir, ports: { http: ports[0] as number }, env, onLine });
		const mesh = new Mesh(local, ports, await TcpProxy.start(local.servers.mariadb.port));
		await mesh.setClock(0);
		await Promise.all(names.map(name => mesh.startNode(name)));
		await local.ready();
		return mesh;
	}

	databaseUrl(service: string): string {
		return `${this.#mesh.servers.mariadb.url}/notemesh_${service}`;
	}

	/** Starts a node, with more environment where a fault asks for it, or within another command. */
	async startNode(name: NodeName, env: Record<string, string> = {}, wrapper: string[] = []): Promise<void> {
		const port = this.#ports[name === "api-2" ? 1 : 0];
		const own = name.startsWith("api") ? { PORT: String(port), ...env } : env;
		this.#nodes.set(name, await this.#mesh.startNode(NODES[name], name, own, wrapper));
	}

	/** SIGKILL. */
	async killNode(name: NodeName): Promise<void> {
		const node = this.#node(name);
		this.#killed.add(node);
		await node.kill();
	}

	/** SIGTERM, and waits until the node is gone. */
	async stopNode(name: NodeName): Promise<void> {
		const node = this.#node(name);
		this.#killed.add(node);
		await node.stop();
	}

	/** Stops a node in order and starts it in another way. */
	async restart(name: NodeName, env: Record<string, string> = {}, wrapper: string[] = []): Promise<void> {
		await this.stopNode(name);
		await this.startNode(name, env, wrapper);
	}

	signalNode(name: NodeName, signal: "SIGSTOP" | "SIGCONT"): void {
		this.#node(name).signal(signal);
	}

	/** Environment of a process whose wall clock `setClock` steps. The monotonic clock goes on, as it does in reality. */
	get steppedClock(): Record<string, string> {
		return {
			LD_PRELOAD: FAKETIME,
			FAKETIME_TIMESTAMP_FILE: this.#clockFile,
			FAKETIME_CACHE_DURATION: "1",
			FAKETIME_DONT_FAKE_MONOTONIC: "1",
			DONT_FAKE_MONOTONIC: "1"
		};
	}

	/** Environment of a node that reaches the database by the slow way. */
	get slowDatabase(): Record<string, string> {
		return { DATABASE_URL: `mysql://root@127.0.0.1:${this.slowWay.port}/notemesh_{service}` };
	}

	/**
	 * Steps the clock of those that have `steppedClock`.
	 * @param seconds from the real time
	 * @param query answers a `time` in the database of notes by that clock: the promise resolves when the step is seen there
	 */
	async setClock(seconds: number, query?: string): Promise<void> {
		const written = `${this.#clockFile}.new`;
		writeFileSync(written, `${seconds < 0 ? "" : "+"}${seconds}\n`);
		renameSync(written, this.#clockFile);
		if (!query) return;
		const { sequelize, release } = acquire(this.databaseUrl("note"));
		await until("the database goes by that clock", async () => {
			const [row] = await sequelize.query<{ time: number }>(query, { type: QueryTypes.SELECT });
			return Math.abs(Number(row?.time) - Date.now() / 1000 - seconds) < CLOCK_TOLERANCE_S;
		});
		await release();
	}

	/** Breaks the first promise on purpose: the database acknowledges commits that it only has in its memory. */
	async forgetCommits(): Promise<void> {
		const { sequelize, release } = acquire(this.databaseUrl("note"));
		await sequelize.query("SET GLOBAL innodb_flush_log_at_trx_commit = 0");
		await release();
	}

	/** A host of its own for a node, behind a wire that can be cut. */
	async otherHost(): Promise<Host> {
		this.#host ??= await Host.create(this.servers);
		return this.#host;
	}

	endedByThemselves(): string[] {
		return [...this.#nodes]
			.filter(([, node]) => !node.running && !this.#killed.has(node))
			.map(([name, node]) => `${name} ended by itself:\n${node.lines.slice(-15).join("\n")}`);
	}

	async stop(): Promise<void> {
		await this.#mesh.stop();
		await this.slowWay.close();
		await this.#host?.delete();
	}

	#node(name: NodeName): NodeProcess {
		return this.#nodes.get(name) as NodeProcess;
	}
}

const names = Object.keys(NODES) as NodeName[];

/** A host in a network namespace, with a wire to each server: they listen on this machine's loopback only. */
class Host {
	readonly env: Record<string, string>;
	readonly wrapper: string[];
	readonly #namespace: Namespace;
	readonly #wires: TcpProxy[];

	private constructor(namespace: Namespace, wires: [TcpProxy, TcpProxy, TcpProxy]) {
		const [nats, etcd, database] = wires;
		const { addresses } = namespace;
		this.#namespace = namespace;
		this.#wires = wires;
		this.env = {
			NATS_URL: `nats://${addresses.nats}:${nats.port}`,
			ETCD_ENDPOINTS: `http://${addresses.etcd}:${etcd.port}`,
			DATABASE_URL: `mysql://root@${addresses.database}:${database.port}/notemesh_{service}`
		};
		const { command, args } = namespace.command("env");
		this.wrapper = [command, ...args];
	}

	static async create({ nats, etcd, mariadb }: Mesh["servers"]): Promise<Host> {
		const namespace = await Namespace.create();
		const { addresses } = namespace;
		return new Host(namespace, [
			await TcpProxy.start(nats.port, addresses.nats),
			await TcpProxy.start(etcd.port, addresses.etcd),
			await TcpProxy.start(mariadb.port, addresses.database)
		]);
	}

	/** Cuts the wire to some servers, or to all. */
	async cut(...servers: (keyof Namespace["addresses"])[]): Promise<void> {
		for (const server of servers) await this.#namespace.cut(this.#namespace.addresses[server]);
	}

	async mend(...servers: (keyof Namespace["addresses"])[]): Promise<void> {
		for (const server of servers) await this.#namespace.mend(this.#namespace.addresses[server]);
	}

	async delete(): Promise<void> {
		await Promise.all(this.#wires.map(wire => wire.close()));
		await this.#namespace.delete();
	}
}
