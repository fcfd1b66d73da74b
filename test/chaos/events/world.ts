import { setTimeout as delay } from "node:timers/promises";
import { connect } from "nats";
import type { Sequelize } from "sequelize";
import { Channels } from "../../../mixins/channels/channels.ts";
import { acquire } from "../../../mixins/db/connection.ts";
import { type MariadbServer, startMariadb } from "../../../scripts/servers/mariadb.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import type { LocalServer } from "../../../scripts/servers/server.ts";
import { prepare } from "../../support/outbox.ts";
import { type NodeProcess, spawnNode } from "../../support/processes.ts";
import { check, type Findings } from "./check.ts";
import { consumers, type Mutation, type ProcessConfig, random, streams } from "./config.ts";

const SILENT = { info() {}, warn() {}, error() {}, debug() {}, trace() {}, fatal() {} };

/** The servers, databases and processes of one chaos run. */
export class World {
	readonly random: () => number;
	readonly nats: LocalServer;
	readonly source: Sequelize;
	readonly read: Sequelize;
	readonly processes = new Map<string, NodeProcess>();
	readonly counts = { kills: 0, pauses: 0, crashes: 0, outages: 0 };
	readonly #mariadb: MariadbServer;
	readonly #config: Omit<ProcessConfig, "role" | "seed">;
	readonly #releases: (() => Promise<void>)[];
	#channels: Channels | undefined;

	private constructor(
		nats: LocalServer,
		mariadb: MariadbServer,
		config: Omit<ProcessConfig, "role" | "seed">,
		seed: number
	) {
		this.random = random(seed);
		this.nats = nats;
		this.#mariadb = mariadb;
		this.#config = config;
		const [source, read] = [acquire(config.source), acquire(config.read)];
		this.source = source.sequelize;
		this.read = read.sequelize;
		this.#releases = [source.release, read.release];
	}

	/** Starts the servers and makes the tables. */
	static async start(seed: number, mutation: Mutation): Promise<World> {
		const [nats, mariadb] = await Promise.all([startNats({ jetstream: true }), startMariadb({ durable: false })]);
		const [source, read] = [await mariadb.createDatabase("source"), await mariadb.createDatabase("reading")];
		await prepare(source);
		await prepare(read);
		const world = new World(nats, mariadb, { source, read, nats: nats.url, mutation, pause: 12, poison: true }, seed);
		const key = "account VARCHAR(64) PRIMARY KEY, count BIGINT NOT NULL, sum BIGINT NOT NULL";
		await world.source.query(`CREATE TABLE accounts (${key}, version BIGINT NOT NULL)`);
		await world.read.query(`CREATE TABLE sums (${key})`);
		await world.read.query(
			"CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, account VARCHAR(64) NOT NULL, version BIGINT NOT NULL)"
		);
		return world;
	}

	/** Starts a process, or starts it again. */
	async spawn(name: string, changes: Partial<ProcessConfig> = {}): Promise<NodeProcess> {
		const role = name.startsWith("writer") ? "writer" : "reader";
		const config = { ...this.#config, role, seed: Math.floor(this.random() * 2 ** 31), ...changes };
		const process = spawnNode({
			args: ["test/chaos/events/process.ts"],
			env: { NODE_ENV: "test", CHAOS: JSON.stringify(config) }
		});
		this.processes.set(name, process);
		await Promise.race([process.waitForLine(/^started$/, 30_000).catch(() => {}), process.exited]);
		return process;
	}

	/** Starts what has ended, whatever ended it. */
	async revive(changes: Partial<ProcessConfig> = {}): Promise<void> {
		const dead = [...this.processes].filter(([, process]) => !process.running);
		await Promise.all(dead.map(([name]) => this.spawn(name, changes)));
	}

	/** Replaces a process by one that ends itself at a point, waits for its end, and starts it again. @returns whether it got there */
	async crashAt(name: string, point: string): Promise<boolean> {
		await this.processes.get(name)?.kill();
		// A relay claims its lease once.
		const after = point === "claimed" ? 1 : 1 + Math.floor(this.random() * 10);
		const process = await this.spawn(name, { crash: { point, after } });
		const crashed = await Promise.race([process.exited.then(() => true), delay(15_000, false, { ref: false })]);
		if (crashed) this.counts.crashes++;
		await process.kill();
		await this.spawn(name);
		return crashed;
	}

	/** Has messages written that throw and that kill, and waits until they are. */
	async poison(): Promise<void> {
		for (let written = 0; written < 2; await delay(50)) {
			this.processes.get("writer-2")?.signal("SIGUSR2");
			const [rows] = await this.source.query("SELECT 1 FROM accounts WHERE account LIKE 'poison-%'");
			written = rows.length;
		}
	}

	/**
	 * Waits until everything that was written has been read, dead letters included.
	 * @param patience how long at most, in milliseconds
	 */
	async settle(patience: number): Promise<boolean> {
		const channels = await this.#open();
		for (const end = Date.now() + patience; Date.now() < end; await delay(250)) {
			// Before the letters: what is quiet now may only be so because a message has become one since.
			const quiet = await this.#isQuiet(channels).catch(() => false);
			const replayed = await channels.deadLetters.replayAll().catch(() => [0]);
			if (quiet && replayed.length === 0 && (await this.#isQuiet(channels))) return true;
			await this.revive({ poison: false });
		}
		return false;
	}

	async findings(): Promise<Findings> {
		return check(this.source, this.read);
	}

	async stop(): Promise<void> {
		await Promise.all([...this.processes.values()].map(process => process.kill()));
		await this.#channels?.close();
		await Promise.all(this.#releases.map(release => release()));
		await Promise.all([this.nats.stop(), this.#mariadb.stop()]);
	}

	/** How many messages the stream has seen in all. */
	async stored(): Promise<number> {
		const connection = await connect({ servers: this.nats.url });
		const { state } = await (await connection.jetstreamManager()).streams.info("FACTS");
		await connection.close();
		return state.last_seq;
	}

	async #isQuiet({ transport }: Channels): Promise<boolean> {
		const [pending] = await this.source.query("SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1");
		const [asked] = await this.source.query("SELECT 1 FROM outbox_relay WHERE republish > 0");
		if (pending.length + asked.length > 0) return false;
		for (const consumer of consumers) {
			const { waiting, pending } = await transport.consumerState(consumer);
			if (waiting + pending > 0) return false;
		}
		return true;
	}

	async #open(): Promise<Channels> {
		this.#channels ??= new Channels({ url: () => this.nats.url, streams, consumers }, SILENT as never);
		for (const { name } of streams) await this.#channels.declare(name, { again: true });
		return this.#channels;
	}
}
