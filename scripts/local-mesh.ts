import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readEnv } from "../lib/env.ts";
import { signingKeys } from "../lib/signing-keys.ts";
import { type NodeProcess, spawnNode } from "./node-process.ts";
import { startEtcd } from "./servers/etcd.ts";
import { type MariadbServer, startMariadb } from "./servers/mariadb.ts";
import { startNats } from "./servers/nats.ts";
import { startRedis } from "./servers/redis.ts";
import type { LocalServer } from "./servers/server.ts";

/**
 * Arguments of Node for a node of the mesh: moleculer's runner, told where our configuration and services are, and V8
 * that it may use as many helper threads as the machine has other cores: four, by default, take two cores for themselves
 * while they collect garbage (docs/performance.md, "Latency at half load").
 */
export const RUNNER = [
	...["--v8-pool-size=0", "--import", "./scripts/v8.ts"],
	...["node_modules/moleculer/bin/moleculer-runner.mjs", "--config", "moleculer.config.ts"],
	...["--mask", "**/*.service.ts"]
];
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
const STARTED = /ServiceBroker with \d+ service\(s\) started successfully/;
/** Levels at which a node does not say so. */
const QUIET: readonly (string | undefined)[] = ["warn", "error", "fatal"];

export interface LocalMeshOptions {
	/** Where servers keep their data and logs, and the mesh its signing key. */
	dataDir: string;
	/** Ports on 127.0.0.1; free ones where not given. */
	ports?: { nats?: number; etcd?: number; mariadb?: number; redis?: number; http?: number };
	/** More environment for every node. */
	env?: Record<string, string>;
	/** Gets every line that a node prints. */
	onLine?: (node: string, line: string) => void;
}

/** NATS, etcd, MariaDB and Redis on this machine, and the nodes that were started on them. */
export interface LocalMesh {
	servers: { nats: LocalServer; etcd: LocalServer; mariadb: MariadbServer; redis: LocalServer };
	/** What a process needs to join: the environment of every node. */
	env: Record<string, string>;
	/** Starts one service as a process of its own, perhaps under another command, and waits until it serves. */
	startNode(service: string, name: string, env?: Record<string, string>, wrapper?: string[]): Promise<NodeProcess>;
	/** Waits until the gateway says that it and all it needs are ready. @throws after 30 s, with its last answer */
	ready(): Promise<void>;
	/** Stops the nodes, the last started first, then the servers. */
	stop(): Promise<void>;
}

/**
 * Starts the servers of a mesh as local processes and migrates the databases.
 * @throws where a server or a migration fails, with the end of its output
 */
export async function startLocalMesh({ dataDir, ports = {}, env = {}, onLine }: LocalMeshOptions): Promise<LocalMesh> {
	mkdirSync(dataDir, { recursive: true });
	const at = (name: string, port: number | undefined) => ({ dataDir: join(dataDir, name), ...(port && { port }) });
	const [nats, etcd, mariadb, redis] = await Promise.all([
		startNats({ ...at("nats", ports.nats), jetstream: true }),
		startEtcd(at("etcd", ports.etcd)),
		startMariadb(at("mariadb", ports.mariadb)),
		startRedis(at("redis", ports.redis))
	]);
	const [key] = signingKeys(readEnv({ DATA_DIR: dataDir }));
	const meshEnv: Record<string, string> = {
		NATS_URL: nats.url,
		ETCD_ENDPOINTS: etcd.url,
		REDIS_URL: redis.url,
		DATABASE_URL: `${mariadb.url}/notemesh_{service}`,
		JWT_KEYS: `${key?.name}:${key?.secret}`,
		PORT: String(ports.http ?? 0),
		...env
	};

	const migration = spawnNode({ args: ["scripts/migrate.ts", "up"], env: meshEnv });
	const { code } = await migration.exited;
	if (code !== 0) throw new Error(`The migration failed:\n${migration.output}`);

	const nodes: NodeProcess[] = [];
	return {
		servers: { nats, etcd, mariadb, redis },
		env: meshEnv,

		async startNode(service, name, nodeEnv = {}, wrapper = []) {
			const own = { SERVICEDIR: join("services", service), NODE_NAME: name };
			const node = spawnNode({ args: RUNNER, env: { ...meshEnv, ...own, ...nodeEnv }, wrapper });
			node.onLine(line => onLine?.(name, line));
			nodes.push(node);
			// `ready` waits for a quiet one.
			if (!QUIET.includes({ ...meshEnv, ...nodeEnv }.LOG_LEVEL)) await node.waitForLine(STARTED);
			return node;
		},

		async ready() {
			const deadline = Date.now() + READY_TIMEOUT_MS;
			for (let last = "no answer"; Date.now() < deadline; await delay(POLL_MS)) {
				const answer = await fetch(`http://127.0.0.1:${meshEnv.PORT}/readyz`).catch(() => undefined);
				if (answer?.ok) return;
				last = (await answer?.text()) ?? last;
				if (Date.now() + POLL_MS >= deadline) throw new Error(`The mesh did not become ready: ${last}`);
			}
		},

		async stop() {
			for (const node of nodes.reverse()) await node.stop();
			await Promise.all([nats, etcd, mariadb, redis].map(server => server.stop()));
		}
	};
}
