import { setTimeout as delay } from "node:timers/promises";
import { type Answer, Client, type RequestOptions } from "./client.ts";

const POLL_MS = 50;
const PATIENCE_MS = 10_000;

/**
 * Sends requests to those of several gateways whose `/readyz` says that they are ready, in turn, as a load balancer does.
 * A request that found no open door, or whose connection broke, goes to the next gateway: safe for what is idempotent or
 * has an Idempotency-Key.
 */
export class Balancer {
	readonly #clients: Client[];
	#ready: Client[] = [];
	#turn = 0;
	#stopped = false;
	readonly #polling: Promise<void>[];
	/** Requests that were sent again. */
	retries = 0;

	constructor(urls: readonly string[]) {
		this.#clients = urls.map(url => new Client(url));
		this.#polling = this.#clients.map(client => this.#poll(client));
	}

	/** @throws what the last attempt threw, after ten seconds without an answer */
	async send(method: string, path: string, options?: RequestOptions): Promise<Answer> {
		for (const end = Date.now() + PATIENCE_MS; ; this.retries++) {
			// With none ready all are tried, as Envoy does: a gateway that lacks one service still serves what needs others.
			const pool = this.#ready.length > 0 ? this.#ready : this.#clients;
			const client = pool[this.#turn++ % pool.length];
			try {
				if (client) return await client.send(method, path, options);
			} catch (error) {
				if (Date.now() > end) throw error;
				this.#ready = this.#ready.filter(ready => ready !== client);
			}
			if (Date.now() > end) throw new Error("No gateway is ready");
			await delay(POLL_MS / 2);
		}
	}

	async stop(): Promise<void> {
		this.#stopped = true;
		await Promise.all(this.#polling);
	}

	async #poll(client: Client): Promise<void> {
		while (!this.#stopped) {
			const isReady = await client.send("GET", "/readyz").then(
				({ status }) => status === 200,
				() => false
			);
			this.#ready = this.#ready.filter(ready => ready !== client).concat(isReady ? [client] : []);
			await delay(POLL_MS);
		}
	}
}
