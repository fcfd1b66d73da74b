import { setTimeout as delay } from "node:timers/promises";
import type { IEvent, IKeyValue } from "etcd3";
import { backoffDelay } from "./backoff.ts";
import { EtcdConnection } from "./client.ts";
import { keepAlive } from "./lease.ts";
import type { ResolvedOptions } from "./options.ts";
import { type Difference, OwnKeys } from "./own-keys.ts";
import { HistoryLost, watch } from "./watch.ts";

const MAX_OPERATIONS = 100; // etcd allows 128 in a transaction by default

/** What the link tells about etcd. None of the functions may throw. */
export interface LinkListener {
	/** All keys as of now. With `dataLost`, etcd has lost keys by itself. */
	snapshot(entries: IKeyValue[], reason: { dataLost: boolean; first: boolean }): void;
	/** Keys that changed, in order. */
	events(events: IEvent[]): void;
	/** The link is up: watching, and holding a lease. */
	up(endpoint: string): void;
	/** The link broke; it comes back by itself. */
	down(endpoint: string, error: Error): void;
	leaseGranted(): void;
	leaseLost(): void;
}

/**
 * Keeps one lease, a set of own keys under it and a watch on a prefix alive, through one connection to one member at a
 * time. When anything on the connection fails, it is dropped and the next endpoint is tried, with back-off. The lease
 * and the watch resume where they were; nothing is read or written again that survived.
 */
export class EtcdLink {
	readonly #options: ResolvedOptions;
	readonly #prefix: string;
	readonly #listener: LinkListener;
	readonly #keys = new OwnKeys();
	readonly #closing = new AbortController();
	readonly #waiters = new Set<() => void>();

	#connection: EtcdConnection | undefined;
	#failure: AbortController | undefined;
	#rewatch: AbortController | undefined;
	#leaseGone: AbortController | undefined;
	#pushing: EtcdConnection | undefined;
	#lease: string | undefined;
	#leaseSince = 0;
	#revision = 0;
	#loop: Promise<void> | undefined;
	#snapshots = 0;
	#revoking = false;

	constructor(options: ResolvedOptions, prefix: string, listener: LinkListener) {
		this.#options = options;
		this.#prefix = prefix;
		this.#listener = listener;
	}

	/** Revision of the last change seen; 0 before the first. */
	get revision(): number {
		return this.#revision;
	}

	/** Id of the lease, undefined while there is none. */
	get lease(): string | undefined {
		return this.#lease;
	}

	/** When the lease was granted, in epoch milliseconds. */
	get leaseSince(): number {
		return this.#leaseSince;
	}

	/** The member in use, undefined during an outage. */
	get endpoint(): string | undefined {
		return this.#connection?.endpoint;
	}

	start(): void {
		this.#loop ??= this.#run();
	}

	/** Wants a key to exist with this value for as long as this node lives. */
	put(key: string, value: Buffer): void {
		this.#keys.want(key, value);
		this.#push();
	}

	/** Several changes that are to appear at once: a value of undefined removes the key. */
	change(changes: [key: string, value: Buffer | undefined][]): void {
		for (const [key, value] of changes) {
			if (value) this.#keys.want(key, value);
			else this.#keys.unwant(key);
		}
		this.#push();
	}

	/** Resolves when etcd has committed everything wanted so far; waits through outages. Never rejects. */
	async settled(): Promise<void> {
		if (this.#connection && this.#lease && !this.#pushing && this.#isSettled()) return;
		if (this.#closing.signal.aborted) return;
		await new Promise<void>(resolve => this.#waiters.add(resolve));
	}

	/** Runs one operation on the present connection, for tools. */
	async use<T>(operation: (connection: EtcdConnection) => Promise<T>): Promise<T> {
		if (!this.#connection) throw new Error("etcd cannot be reached at the moment");
		return operation(this.#connection);
	}

	/** Reads all keys again as soon as possible. */
	resync(): void {
		this.#rewatch?.abort(new HistoryLost("asked to read all keys again", false));
	}

	/** Revokes the lease (all own keys vanish) as far as etcd can be reached within `leaveTimeout`, and stops. */
	async close(): Promise<void> {
		if (this.#closing.signal.aborted) return;
		const lease = this.#lease;
		const connection = this.#connection;
		this.#revoking = true;
		this.#lease = undefined;
		if (lease && connection) {
			await Promise.race([
				connection.revoke(lease).catch(error => this.#listener.down(connection.endpoint, error)),
				delay(this.#options.leaveTimeout, undefined, { ref: false })
			]);
		}
		this.#closing.abort(new Error("The etcd registry was closed"));
		this.#failure?.abort(this.#closing.signal.reason);
		this.#release();
		await this.#loop;
	}

	async #run(): Promise<void> {
		const { endpoints, backoff } = this.#options;
		const closing = this.#closing.signal;
		let index = Math.floor(Math.random() * endpoints.length);
		let failures = 0;

		while (!closing.aborted) {
			const endpoint = endpoints[index % endpoints.length] as string;
			try {
				await this.#serve(endpoint, () => {
					failures = 0;
				});
			} catch (error) {
				if (closing.aborted) return;
				this.#listener.down(endpoint, error as Error);
			}
			index++;
			await delay(backoffDelay(backoff, failures++), undefined, { signal: closing }).catch(() => {});
		}
	}

	/** Lives as long as one connection; rejects when it fails. */
	async #serve(endpoint: string, onUp: () => void): Promise<never> {
		const failure = new AbortController();
		this.#failure = failure;
		const connection = await EtcdConnection.open(endpoint, this.#options);
		try {
			failure.signal.throwIfAborted();
			let reportUp: () => void = () => {};
			const up = new Promise<void>(resolve => {
				reportUp = resolve;
			});
			const work = [
				this.#holdLease(connection, failure.signal),
				this.#follow(connection, failure.signal, reportUp),
				failed(failure.signal)
			];
			await Promise.race([up, ...work]);
			this.#connection = connection;
			onUp();
			this.#listener.up(endpoint);
			this.#push();
			return await Promise.race(work);
		} finally {
			this.#connection = undefined;
			failure.abort(new Error("The connection to etcd was given up"));
			connection.close();
		}
	}

	/** Renews the lease, and replaces it when it is gone. */
	async #holdLease(connection: EtcdConnection, signal: AbortSignal): Promise<never> {
		for (let losses = 0; ; losses++) {
			if (!this.#lease) {
				const lease = await connection.grant(this.#options.ttl);
				signal.throwIfAborted();
				this.#keys.forget();
				this.#lease = lease;
				this.#leaseSince = Date.now();
				this.#listener.leaseGranted();
				this.#push();
			}
			const gone = new AbortController();
			this.#leaseGone = gone;
			const either = AbortSignal.any([signal, gone.signal]);
			await keepAlive(await connection.keepAlive(), this.#lease, this.#options.ttl, either, () => {
				losses = 0;
			}).catch(error => {
				if (error !== gone.signal.reason) throw error;
			});
			if (this.#revoking) return await failed(signal);
			this.#lease = undefined;
			this.#listener.leaseLost();
			// The lease may be gone because etcd's data are: what the watch says cannot be relied on.
			this.#rewatch?.abort(new HistoryLost("the lease was lost", false));
			if (losses > 0) await delay(backoffDelay(this.#options.backoff, losses), undefined, { signal });
		}
	}

	/** Reads all keys when needed and follows their changes. */
	async #follow(connection: EtcdConnection, signal: AbortSignal, onWatching: () => void): Promise<never> {
		let dataLost = false;
		for (;;) {
			if (this.#revision === 0) await this.#readAll(connection, dataLost);
			const rewatch = new AbortController();
			this.#rewatch = rewatch;
			try {
				await watch(
					await connection.watch(),
					{ prefix: this.#prefix, startRevision: this.#revision + 1 },
					AbortSignal.any([signal, rewatch.signal]),
					onWatching,
					(events, revision) => this.#take(events, revision)
				);
			} catch (error) {
				if (!(error instanceof HistoryLost)) throw error;
				dataLost = error.dataLost;
				this.#revision = 0;
			}
		}
	}

	async #readAll(connection: EtcdConnection, dataLost: boolean): Promise<void> {
		const { entries, revision } = await connection.readAll(this.#prefix);
		this.#revision = revision;
		if (!this.#pushing) this.#keys.forget(); // a write under way is confirmed by itself
		for (const { key, value, mod_revision, lease } of entries) {
			this.#keys.observe(key.toString(), value, Number(mod_revision), lease === this.#lease);
		}
		this.#listener.snapshot(entries, { dataLost, first: this.#snapshots++ === 0 });
		this.#push();
	}

	#take(events: IEvent[], revision: number): void {
		this.#revision = Math.max(this.#revision, revision);
		this.#listener.events(events);
		let differs = false;
		for (const { type, kv } of events) {
			const value = type === "Delete" ? undefined : kv.value;
			if (this.#keys.observe(kv.key.toString(), value, Number(kv.mod_revision), kv.lease === this.#lease))
				differs = true;
		}
		if (differs) this.#push();
	}

	/** Brings etcd in line with the wanted keys; one transaction at a time. */
	#push(): void {
		const connection = this.#connection;
		const lease = this.#lease;
		if (!connection || !lease || this.#pushing === connection) return;
		if (this.#isSettled()) {
			this.#release();
			return;
		}
		this.#pushing = connection;
		this.#commit(connection, lease)
			.catch(error => this.#commitFailed(connection, lease, error))
			.finally(() => {
				if (this.#pushing !== connection) return;
				this.#pushing = undefined;
				this.#push();
			});
	}

	async #commit(connection: EtcdConnection, lease: string): Promise<void> {
		const { puts, deletes } = this.#keys.difference();
		const batch: Difference = {
			deletes: deletes.slice(0, MAX_OPERATIONS),
			puts: puts.slice(0, Math.max(0, MAX_OPERATIONS - deletes.length))
		};
		const revision = await connection.apply([
			...batch.deletes.map(key => ({ request_delete_range: { key: Buffer.from(key) } })),
			...batch.puts.map(([key, value]) => ({ request_put: { key: Buffer.from(key), value, lease } }))
		]);
		if (this.#connection === connection && this.#lease === lease) this.#keys.confirm(batch, revision);
	}

	#commitFailed(connection: EtcdConnection, lease: string, error: Error): void {
		if (this.#connection !== connection) return;
		if (error.message.includes("requested lease not found")) {
			if (this.#lease === lease) this.#lease = undefined;
			this.#leaseGone?.abort(error);
			return;
		}
		this.#connection = undefined;
		this.#failure?.abort(error);
	}

	#isSettled(): boolean {
		const { puts, deletes } = this.#keys.difference();
		return puts.length === 0 && deletes.length === 0;
	}

	#release(): void {
		for (const resolve of this.#waiters) resolve();
		this.#waiters.clear();
	}
}

function failed(signal: AbortSignal): Promise<never> {
	return new Promise((_resolve, reject) => {
		signal.addEventListener("abort", () => reject(signal.reason), { once: true });
	});
}
