import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { call } from "../../lib/call.ts";
import { readEnv } from "../../lib/env.ts";
import type { Meta } from "../../lib/identity.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import { startLocalMesh } from "../../scripts/local-mesh.ts";
import type { NodeProcess } from "../../scripts/node-process.ts";

const NODES = ["note-1", "note-2", "note-3"];
const CALLS_PER_SECOND = 100;
/** Of so many calls one writes. */
const WRITE_EVERY = 4;
const SETTLE_MS = 1000;
const BACK_TIMEOUT_MS = 30_000;

export interface RestartResult {
	restarts: number;
	calls: number;
	/** Notes that were acknowledged, and those that the database has. */
	written: number;
	kept: number;
	failed: number;
	/** What the failed calls said, and how often. */
	errors: Record<string, number>;
	/** Longest call in milliseconds. */
	slowest: number;
	seconds: number;
}

/**
 * Stops and starts nodes of `services/note` one after the other, on MariaDB, NATS and etcd, while a node without services
 * calls `note.query` and `note.create` at a steady rate, without retries.
 */
export async function rollingRestarts(restarts: number): Promise<RestartResult> {
	const dataDir = mkdtempSync(join(tmpdir(), "notemesh-restarts-"));
	const mesh = await startLocalMesh({ dataDir, env: { NODE_ENV: "production" } });
	const caller = callerOf(mesh.env);
	try {
		await mesh.startNode("user", "user-1");
		const nodes = new Map<string, NodeProcess>();
		for (const name of NODES) nodes.set(name, await mesh.startNode("note", name));
		await caller.start();
		await caller.waitForServices(["note", "user"]);

		const started = performance.now();
		const load = new Load(caller);
		for (let restart = 0; restart < restarts; restart++) {
			const name = NODES[restart % NODES.length] as string;
			const code = await nodes.get(name)?.stop();
			if (code !== 0) throw new Error(`'${name}' stopped with code ${code}`);
			nodes.set(name, await mesh.startNode("note", name));
			await isBack(caller, name);
			if ((restart + 1) % 10 === 0) console.error(`${restart + 1} restarts, ${load.failed} failed calls`);
		}
		await delay(SETTLE_MS);
		await load.stop();
		const { total } = await call(caller, "note.query", { limit: 1 }, { meta: META });
		const { calls, written, failed, errors, slowest } = load;
		const seconds = Math.round((performance.now() - started) / 1000);
		return { restarts, calls, written, kept: total, failed, errors, slowest: Math.round(slowest), seconds };
	} finally {
		await caller.stop();
		await mesh.stop();
		rmSync(dataDir, { recursive: true, force: true });
	}
}

const META: Meta = { user: { id: 1, role: "user", session_id: "restarts" } };

/** A node without services, configured as every other. */
function callerOf(variables: Record<string, string>): ServiceBroker {
	const { created, started, ...options } = brokerOptions(readEnv({ ...variables, LOG_LEVEL: "error" }));
	return new ServiceBroker({ ...options, nodeID: "caller", skipProcessEventRegistration: true });
}

async function isBack(caller: ServiceBroker, name: string): Promise<void> {
	const deadline = Date.now() + BACK_TIMEOUT_MS;
	while (!caller.registry.hasService("note", name)) {
		if (Date.now() > deadline) throw new Error(`'${name}' did not come back`);
		await delay(10);
	}
}

/** Calls that are made whether or not earlier ones were answered. */
class Load {
	calls = 0;
	written = 0;
	failed = 0;
	slowest = 0;
	readonly errors: Record<string, number> = {};
	readonly #caller: ServiceBroker;
	readonly #open = new Set<Promise<void>>();
	readonly #timer: NodeJS.Timeout;

	constructor(caller: ServiceBroker) {
		this.#caller = caller;
		this.#timer = setInterval(() => {
			const one = this.#one().finally(() => this.#open.delete(one));
			this.#open.add(one);
		}, 1000 / CALLS_PER_SECOND);
	}

	async stop(): Promise<void> {
		clearInterval(this.#timer);
		await Promise.all(this.#open);
	}

	async #one(): Promise<void> {
		const begun = performance.now();
		const writes = this.calls++ % WRITE_EVERY === 0;
		try {
			if (writes) {
				const note = { title: `Note ${this.calls}`, content: "written during a restart" };
				await call(this.#caller, "note.create", note, { meta: META });
				this.written++;
			} else await call(this.#caller, "note.query", { limit: 10 }, { meta: META });
		} catch (error) {
			this.failed++;
			const { type, name, message } = error as Error & { type?: string };
			const what = `${type ?? name}: ${message}`;
			this.errors[what] = (this.errors[what] ?? 0) + 1;
		} finally {
			this.slowest = Math.max(this.slowest, performance.now() - begun);
		}
	}
}
