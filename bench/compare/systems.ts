import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createConnection } from "mysql2/promise";
import { RUNNER } from "../../scripts/local-mesh.ts";
import { type NodeProcess, spawnNode } from "../../scripts/node-process.ts";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { freePort } from "../../scripts/servers/free-port.ts";
import { type MariadbServer, startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { copyForPeers, JWT_KEYS, JWT_SECRET, seed } from "./data.ts";

/** One of the systems that are compared. */
export interface System {
	url: string;
	processes: NodeProcess[];
	/** What each of its processes runs. */
	parts: string[];
	/** Waits until it has done what it does after its answers, so that it does not disturb the next system's turn. */
	settled(): Promise<void>;
}

/** The databases and the bus that all systems share. */
export interface Servers {
	mariadb: MariadbServer;
	nats: LocalServer;
	etcd: LocalServer;
	peersUrl: string;
	stop(): Promise<void>;
}

export interface Context {
	servers: Servers;
	/** Temporary. */
	folder: string;
	/** Arguments of Node for a process, e.g. `--cpu-prof`. @param part what it runs */
	nodeArgs(part: string): string[];
	/** What runs a node of ours, where it is not the usual configuration. */
	runner?: string[];
}

const PEERS = join(import.meta.dirname, "../peers");
const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
/**
 * The 16 MB of redo log of a test server are full within seconds of writing, and its 128 MB for pages within minutes; then
 * all wait for pages to be written.
 */
const MEMORY = ["--innodb-log-file-size=512M", "--innodb-buffer-pool-size=1G"];
/** Ours keep their data apart, so that each publishes its own facts. */
const OURS = ["one", "cached", "mesh"];

/** The nodes of the mesh that is compared. */
export const MESH = ["services/user", "services/note", "services/audit", "services/api"];

/** What is compared, by name. */
export const systems: Record<string, (context: Context) => Promise<System>> = {
	floor: context => peer(context, { "floor.ts": {} }),
	"floor-tokens": context => peer(context, { "floor.ts": { TOKEN_CACHE: "on" } }),
	fastify: context => peer(context, { "fastify.ts": {} }),
	"fastify-raw": context => peer(context, { "fastify.ts": { RAW_ROWS: "on" } }),
	"fastify-raw-tokens": context => peer(context, { "fastify.ts": { RAW_ROWS: "on", TOKEN_CACHE: "on" } }),
	nest: context => peer(context, { "nest-note.ts": {}, "nest-gateway.ts": {} }),
	one: context => notemesh(context, "one", ["services"], { CACHE: "off" }),
	"one-cached": context => notemesh(context, "cached", ["services"], { CACHE: "memory" }),
	mesh: context => notemesh(context, "mesh", MESH, { CACHE: "off" })
};

/**
 * Starts MariaDB, NATS and etcd with migrated and filled databases.
 * @param names whose databases; the peers' are copied from the first one's
 */
export async function startServers(names: readonly string[] = OURS): Promise<Servers> {
	const [mariadb, nats, etcd] = await Promise.all([
		startMariadb({ args: MEMORY }),
		startNats({ jetstream: true }),
		startEtcd()
	]);
	for (const name of names) {
		const migration = spawnNode({
			args: ["scripts/migrate.ts", "up"],
			env: { DATABASE_URL: databases(mariadb, name) }
		});
		if ((await migration.exited).code !== 0) throw new Error(migration.output);
		await seed(mariadb, name);
	}
	const peersUrl = await copyForPeers(mariadb, names[0] as string);
	const all = [nats, etcd, mariadb];
	return {
		mariadb,
		nats,
		etcd,
		peersUrl,
		stop: async () => void (await Promise.all(all.map(server => server.stop())))
	};
}

async function peer({ servers, nodeArgs }: Context, parts: Record<string, Record<string, string>>): Promise<System> {
	// Not part of the project's own dependencies: who does not run this benchmark need not install them.
	if (!existsSync(join(PEERS, "node_modules"))) execFileSync("npm", ["ci"], { cwd: PEERS, stdio: "inherit" });
	const port = await freePort();
	const shared = {
		NODE_ENV: "production",
		PORT: String(port),
		DATABASE_URL: servers.peersUrl,
		NATS_URL: servers.nats.url,
		JWT_SECRET
	};
	const processes = Object.entries(parts).map(([file, env]) =>
		spawnNode({ args: [...nodeArgs(file), "--import", "tsx", file], cwd: PEERS, env: { ...shared, ...env } })
	);
	await Promise.all(processes.map(process => process.waitForLine(/^ready$/)));
	return { url: `http://127.0.0.1:${port}`, processes, parts: Object.keys(parts), settled: async () => {} };
}

/**
 * Starts nodes of ours and waits until their gateway is ready.
 * @param name whose databases they use: one of those that `startServers` was told
 * @param folders each with the services of a node; a single one is embedded
 */
export async function notemesh(
	{ servers: { mariadb, nats, etcd }, folder, nodeArgs, runner = RUNNER }: Context,
	name: string,
	folders: string[],
	more: Record<string, string>
): Promise<System> {
	const port = await freePort();
	const env = {
		NODE_ENV: "production",
		LOG_LEVEL: "warn",
		PORT: String(port),
		DATABASE_URL: databases(mariadb, name),
		DATA_DIR: join(folder, name),
		JWT_KEYS,
		...more,
		...(folders.length > 1 && { NATS_URL: nats.url, ETCD_ENDPOINTS: etcd.url })
	};
	const processes = folders.map(service =>
		spawnNode({ args: [...nodeArgs(service), ...runner], env: { ...env, SERVICEDIR: service } })
	);
	const url = `http://127.0.0.1:${port}`;
	try {
		await untilReady(url);
	} catch (error) {
		throw new Error(processes.map(process => process.output).join("\n"), { cause: error });
	}
	return { url, processes, parts: folders, settled: () => untilPublished(mariadb, name) };
}

function databases(mariadb: MariadbServer, name: string): string {
	return `${mariadb.url}/${name}_{service}`;
}

/** Waits until a gateway says that it and all it needs are ready. @throws after a minute */
export async function untilReady(url: string, pause = POLL_MS): Promise<void> {
	for (const deadline = Date.now() + READY_TIMEOUT_MS; ; await delay(pause)) {
		const answer = await fetch(`${url}/readyz`).catch(() => undefined);
		if (answer?.ok) return;
		if (Date.now() > deadline) throw new Error(`${url} did not become ready`);
	}
}

/** Each write of ours leaves a record, which the outbox publishes and the audit service stores. */
async function untilPublished(mariadb: MariadbServer, name: string): Promise<void> {
	const db = await createConnection({ uri: `${mariadb.url}/${name}_note` });
	const waiting = async () => {
		const [rows] = await db.query(
			`SELECT (SELECT COUNT(*) FROM outbox) AS written, (SELECT COUNT(*) FROM ${name}_audit.audit_entries) AS stored`
		);
		const [{ written, stored }] = rows as [{ written: number; stored: number }];
		return written - stored;
	};
	for (const deadline = Date.now() + READY_TIMEOUT_MS; (await waiting()) > 0; await delay(POLL_MS))
		if (Date.now() > deadline) {
			console.error(`${name}: ${await waiting()} audit records are not stored yet`);
			break;
		}
	await db.end();
}
