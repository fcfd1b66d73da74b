import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startEtcd } from "../../scripts/servers/etcd.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { freePort, type NodeProcess, spawnNode } from "../../test/support/processes.ts";
import type { BenchNodeOptions, Kind } from "./node.ts";

const SCRIPT = join(import.meta.dirname, "node.ts");
const POLL_INTERVAL = 10;
const STARTED_TOGETHER = 5;

interface NodeEvent {
	event: string;
	at: number;
	node?: string;
	good?: number;
	failed?: number;
	errors?: Record<string, number>;
}

/** Calls made by a caller in a stretch of time. */
export interface Calls {
	good: number;
	failed: number;
	/** Longest time without a good call, in milliseconds. */
	longestGap: number;
}

/** A node of the benchmark, in a process of its own, and what it has reported. */
export class BenchNode {
	readonly nodeID: string;
	readonly process: NodeProcess;
	/** What it has reported so far. */
	readonly events: NodeEvent[] = [];

	constructor(options: BenchNodeOptions) {
		this.nodeID = options.nodeID;
		this.process = spawnNode({ args: [SCRIPT, JSON.stringify(options)] });
		this.process.onLine(line => {
			if (line.startsWith("@")) this.events.push(JSON.parse(line.slice(1)));
		});
	}

	/** When the first matching event after `since` was; undefined if there is none within `timeout` milliseconds. */
	async when(event: string, node: string | undefined, since: number, timeout: number): Promise<number | undefined> {
		const deadline = Date.now() + timeout;
		for (;;) {
			const found = this.events.find(one => one.event === event && one.node === node && one.at >= since);
			if (found) return found.at;
			if (Date.now() > deadline || !this.process.running) return undefined;
			await delay(POLL_INTERVAL);
		}
	}

	/** The calls between two moments, to the precision of the reports (200 ms). */
	calls(from: number, to: number): Calls {
		const reports = this.events.filter(({ event, at }) => event === "calls" && at >= from && at <= to);
		const [first, last] = [reports[0], reports.at(-1)];
		let lastGood = first;
		let longestGap = 0;
		for (const report of reports) {
			if (report.good === lastGood?.good) continue;
			longestGap = Math.max(longestGap, report.at - (lastGood?.at ?? report.at));
			lastGood = report;
		}
		longestGap = Math.max(longestGap, (last?.at ?? 0) - (lastGood?.at ?? 0));
		return {
			good: (last?.good ?? 0) - (first?.good ?? 0),
			failed: (last?.failed ?? 0) - (first?.failed ?? 0),
			longestGap: Math.round(longestGap)
		};
	}
}

/** NATS, etcd and nodes with one kind of discovery. */
export class BenchMesh {
	readonly kind: Kind;
	readonly nats: LocalServer;
	readonly etcd: LocalServer;
	readonly nodes: BenchNode[] = [];
	readonly #natsMonitor: string;

	private constructor(kind: Kind, nats: LocalServer, etcd: LocalServer, natsMonitor: string) {
		this.kind = kind;
		this.nats = nats;
		this.etcd = etcd;
		this.#natsMonitor = natsMonitor;
	}

	static async start(kind: Kind): Promise<BenchMesh> {
		const monitorPort = await freePort();
		const nats = startNats({ args: ["--http_port", String(monitorPort)] });
		return new BenchMesh(kind, await nats, await startEtcd(), `http://127.0.0.1:${monitorPort}/varz`);
	}

	async stop(): Promise<void> {
		await Promise.all(this.nodes.map(node => node.process.kill()));
		await Promise.all([this.nats.kill(), this.etcd.kill()]);
	}

	/** Adds a node and waits until it is ready. */
	async add(nodeID: string, options: Partial<BenchNodeOptions> = {}): Promise<BenchNode> {
		const { kind, nats, etcd } = this;
		const node = new BenchNode({ kind, nodeID, nats: nats.url, etcd: etcd.url, worker: true, ...options });
		this.nodes.push(node);
		await node.process.waitForLine(/"event":"ready"/, 120_000);
		return node;
	}

	/** Adds workers up to `count` and waits until all nodes see all workers. */
	async grow(count: number): Promise<void> {
		while (this.nodes.length < count) {
			const missing = Math.min(STARTED_TOGETHER, count - this.nodes.length);
			const first = this.nodes.length;
			await Promise.all(Array.from({ length: missing }, (_, index) => this.add(`node${first + index}`)));
		}
		await this.allSeen();
	}

	/** Waits until every running node sees every running worker. */
	async allSeen(): Promise<void> {
		for (const observer of this.nodes) {
			for (const { nodeID } of this.nodes) {
				if (nodeID === observer.nodeID || !nodeID.startsWith("node")) continue;
				await observer.when("joined", nodeID, 0, 60_000);
			}
		}
	}

	remove(node: BenchNode): void {
		this.nodes.splice(this.nodes.indexOf(node), 1);
	}

	/** Counters of etcd and NATS so far. */
	async counters(): Promise<Record<string, number>> {
		const [metrics, varz] = await Promise.all([fetchText(`${this.etcd.url}/metrics`), fetchText(this.#natsMonitor)]);
		const etcd = (name: string) =>
			metrics
				.split("\n")
				.filter(line => line.startsWith(name))
				.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
		const { in_msgs, out_msgs } = JSON.parse(varz) as { in_msgs: number; out_msgs: number };
		return {
			puts: etcd("etcd_debugging_mvcc_put_total"),
			ranges: etcd("etcd_debugging_mvcc_range_total"),
			fsyncs: etcd("etcd_disk_wal_fsync_duration_seconds_count"),
			bytesIn: etcd("etcd_network_client_grpc_received_bytes_total"),
			bytesOut: etcd("etcd_network_client_grpc_sent_bytes_total"),
			natsIn: in_msgs,
			natsOut: out_msgs
		};
	}
}

/** This process's clock on the scale of the nodes' reports. */
export function now(): number {
	return performance.timeOrigin + performance.now();
}

async function fetchText(url: string): Promise<string> {
	const response = await fetch(url);
	return response.text();
}
