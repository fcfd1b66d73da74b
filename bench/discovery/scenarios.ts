import { setTimeout as delay } from "node:timers/promises";
import { BenchMesh, type BenchNode, type Calls, now } from "./mesh.ts";
import type { Kind } from "./node.ts";

const RATE = 50; // calls per second and caller
const SETTLE = 2000;

export interface Times {
	median: number;
	min: number;
	max: number;
}

/** How long the benchmark looks, in seconds, and how often. */
export interface Scale {
	sizes: number[];
	joins: number;
	/** Kills of a built-in discoverer's nodes, which take up to a minute and a half each; 0: none. */
	crashes: number;
	/** Kills of our nodes. */
	ownCrashes: number;
	idle: number;
	etcdDown: number[];
	etcdFrozen: number;
	natsDown: number;
}

export interface MembershipResult {
	join: Record<string, Times>;
	leave: Record<string, Times>;
	leaveFailed: number;
	/** Per second, 10 idle nodes. */
	idle: Record<string, number>;
}

export interface CrashResult {
	/** Until a node that makes no calls has removed the crashed one. */
	membership: Times;
	/** Until a caller calls it no more. */
	steered: Times;
	failedWithoutRetry: number[];
	failedWithRetry: number[];
}

/** Join and leave at growing sizes, and the load of the mesh at rest. */
export async function membership(kind: Kind, scale: Scale): Promise<MembershipResult> {
	const mesh = await BenchMesh.start(kind);
	const result: MembershipResult = { join: {}, leave: {}, leaveFailed: 0, idle: {} };
	try {
		for (const size of scale.sizes) {
			await mesh.grow(size);
			if (size === 10) result.idle = await idle(mesh, scale.idle);
			const caller = await mesh.add("caller", { worker: false, rate: RATE });
			const joins: number[] = [];
			const leaves: number[] = [];
			for (let round = 0; round < scale.joins; round++) {
				await joinAndLeave(mesh, `joiner${size}x${round}`, joins, leaves);
			}
			await delay(SETTLE);
			result.leaveFailed += caller.calls(0, now()).failed;
			await caller.process.kill();
			mesh.remove(caller);
			result.join[size] = times(joins);
			result.leave[size] = times(leaves);
		}
		return result;
	} finally {
		await mesh.stop();
	}
}

async function joinAndLeave(mesh: BenchMesh, nodeID: string, joins: number[], leaves: number[]): Promise<void> {
	const observers = [...mesh.nodes];
	const joiner = await mesh.add(nodeID);
	const started = (await joiner.when("started", undefined, 0, 1000)) as number;
	for (const observer of observers) joins.push((await seen(observer, "joined", nodeID, started)) - started);

	const asked = now();
	const exit = joiner.process.stop();
	const leaving = (await joiner.when("leaving", undefined, asked, 5000)) as number;
	for (const observer of observers) leaves.push((await seen(observer, "left", nodeID, leaving)) - leaving);
	await exit;
	mesh.remove(joiner);
}

async function idle(mesh: BenchMesh, seconds: number): Promise<Record<string, number>> {
	await delay(SETTLE);
	const before = await mesh.counters();
	await delay(seconds * 1000);
	const after = await mesh.counters();
	return Object.fromEntries(
		Object.keys(before).map(name => [name, round(((after[name] ?? 0) - (before[name] ?? 0)) / seconds, 2)])
	);
}

/**
 * kill -9 of one of three workers, seen by a node that makes no calls, a caller without retry and one with. Ours is
 * measured with nothing beside it; the others take so long that it does not matter, and are killed in meshes side by side.
 */
export async function crash(kind: Kind, { crashes, ownCrashes }: Scale): Promise<CrashResult | undefined> {
	if (kind !== "ours" && crashes === 0) return undefined;
	const kills = [];
	if (kind === "ours") kills.push(...(await killWorkers(kind, ownCrashes)));
	else {
		const meshes = await Promise.all(Array.from({ length: crashes }, () => killWorkers(kind, 1)));
		kills.push(...meshes.flat());
	}
	return {
		membership: times(kills.map(kill => kill.membership)),
		steered: times(kills.map(kill => kill.steered)),
		failedWithoutRetry: kills.map(kill => kill.failedWithoutRetry),
		failedWithRetry: kills.map(kill => kill.failedWithRetry)
	};
}

interface Kill {
	membership: number;
	steered: number;
	failedWithoutRetry: number;
	failedWithRetry: number;
}

async function killWorkers(kind: Kind, count: number): Promise<Kill[]> {
	const mesh = await BenchMesh.start(kind);
	const kills: Kill[] = [];
	try {
		await mesh.grow(3);
		const plain = await mesh.add("caller", { worker: false, rate: RATE });
		const retrying = await mesh.add("retrier", { worker: false, rate: RATE, retry: true });
		for (let round = 0; round < count; round++) {
			await mesh.allSeen();
			await delay(SETTLE);
			const victim = mesh.nodes[2] as BenchNode;
			const observer = mesh.nodes[0] as BenchNode;
			const killed = now();
			await victim.process.kill();
			const [steered, membership] = await Promise.all([
				seen(plain, "left", victim.nodeID, killed),
				seen(observer, "left", victim.nodeID, killed)
			]);
			await delay(SETTLE * 2);
			kills.push({
				membership: membership - killed,
				steered: steered - killed,
				failedWithoutRetry: plain.calls(killed - 500, now()).failed,
				failedWithRetry: retrying.calls(killed - 500, now()).failed
			});
			mesh.remove(victim);
			const replacement = await mesh.add(`node${10 + round}`);
			mesh.remove(replacement);
			mesh.nodes.splice(2, 0, replacement);
		}
		return kills;
	} finally {
		await mesh.stop();
	}
}

type Outage = (mesh: BenchMesh) => Promise<void>;

/** What becomes of a caller's calls in an outage. */
export type OutageResult = Calls & { evictions: number };

/**
 * Failed calls of a caller, with three workers, while a server is away and for a while afterwards. Each outage has
 * servers and nodes of its own, and mostly waits: they happen at the same time.
 */
export async function outages(kind: Kind, scale: Scale): Promise<Record<string, OutageResult>> {
	const all: Record<string, Outage> = {
		...(kind !== "local" && etcdOutages(scale)),
		[`NATS killed ${scale.natsDown} s`]: async ({ nats }) => {
			await nats.kill();
			await delay(scale.natsDown * 1000);
			await nats.start();
		}
	};
	const meshes: BenchMesh[] = [];
	const prepare = async (): Promise<BenchMesh> => {
		const mesh = await BenchMesh.start(kind);
		meshes.push(mesh);
		await mesh.grow(3);
		await mesh.add("caller", { worker: false, rate: RATE });
		await mesh.allSeen();
		return mesh;
	};
	try {
		// All are up before the first outage begins.
		const prepared = await Promise.all(Object.values(all).map(async outage => ({ outage, mesh: await prepare() })));
		await delay(SETTLE);
		const results = await Promise.all(prepared.map(({ outage, mesh }) => underOutage(mesh, outage)));
		return Object.fromEntries(Object.keys(all).map((name, index) => [name, results[index] as OutageResult]));
	} finally {
		await Promise.all(meshes.map(mesh => mesh.stop()));
	}
}

function etcdOutages({ etcdDown, etcdFrozen }: Scale): Record<string, Outage> {
	const down = etcdDown.map((seconds): [string, Outage] => [
		`etcd down ${seconds} s`,
		async ({ etcd }) => {
			await etcd.stop();
			await delay(seconds * 1000);
			await etcd.start();
		}
	]);
	return {
		...Object.fromEntries(down),
		[`etcd frozen ${etcdFrozen} s`]: async ({ etcd }) => {
			etcd.pause();
			await delay(etcdFrozen * 1000);
			etcd.resume();
		},
		"etcd wiped, back after 2 s": async ({ etcd }) => {
			await etcd.kill();
			await etcd.wipe();
			await delay(2000);
			await etcd.start();
		}
	};
}

async function underOutage(mesh: BenchMesh, outage: Outage): Promise<OutageResult> {
	const start = now();
	await outage(mesh);
	await delay(15_000); // longer than any hold: what the outage does to the leases shows late
	const evictions = mesh.nodes.flatMap(node => node.events).filter(({ event, at }) => event === "left" && at > start);
	const caller = mesh.nodes.at(-1) as BenchNode;
	return { ...caller.calls(start, now()), evictions: evictions.length };
}

async function seen(observer: BenchNode, event: string, node: string, since: number): Promise<number> {
	const at = await observer.when(event, node, since, 90_000);
	if (at === undefined) throw new Error(`'${observer.nodeID}' did not see that '${node}' ${event} within 90 s`);
	return at;
}

function times(values: number[]): Times {
	const sorted = values.toSorted((one, other) => one - other);
	const at = (index: number) => sorted[index] ?? Number.NaN;
	const middle = (sorted.length - 1) / 2;
	const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
	return { median: round(median, 1), min: round(at(0), 1), max: round(at(sorted.length - 1), 1) };
}

function round(value: number, digits: number): number {
	return Math.round(value * 10 ** digits) / 10 ** digits;
}
