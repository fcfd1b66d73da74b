import { setTimeout as delay } from "node:timers/promises";
import type { IEvent, IKeyValue } from "etcd3";
import { backoffDelay } from "./backoff.ts";
import { EtcdConnection } from "./client.ts";
import { KeyWriter } from "./key-writer.ts";
import { keepAlive } from "./lease.ts";
import type { ResolvedOptions } from "./options.ts";
import { HistoryLost, watch } from "./watch.ts";

/** What the link tells about etcd. None of the functions may throw. */
export interface LinkListener {
	/** All keys as of `revision`. With `dataLost`, etcd has lost keys by itself. */
	snapshot(entries: IKeyValue[], reason: { revision: number; dataLost: boolean; first: boolean }): void;
	/** Keys that changed, in order. */
	events(events: IEvent[]): void;
	/** The link is up and watching. */
	up(endpoint: string): void;
	/** The link broke; it comes back by itself. */
	down(endpoint: string, error: Error): void;
	leaseGranted(): void;
	leaseLost(): void;
}

/**
 * Keeps one lease, a set of own keys under it and a watch on a prefix alive, through one connection to one endpoint at
 * a time. When anything on the connection fails, it is dropped and the next endpoint is tried, with back-off. The lease
 * and the watch resume where they were; nothing is read or written again that survived.
 */
export class EtcdLink {
	readonly #options: ResolvedOptions;
	readonly #prefix: string;
	readonly #listener: LinkListener;
	readonly #writer: KeyWriter;
	readonly #closing = new AbortController();

	#connection: EtcdConnection | undefined;
	#failure: AbortController | undefined;
	#rewatch: AbortController | undefined;
	#leaseGone: AbortController | undefined;
	#lease: string | undefined;
	#revision = 0;
	#snapshots = 0;
	#revoking = false;
	#loop: Promise<void> | undefined;

	constructor(options: ResolvedOptions, prefix: string, listener: LinkListener) {
		this.#options = options;
		this.#prefix = prefix;
		this.#listener = listener;
		this.#writer = new KeyWriter({
			leaseGone: error => this.#leaseGone?.abort(error),
			failed: (connection, error) => {
				if (connection === this.#connection) this.#failure?.abort(error);
			}
		});
	}

	/** Revision of the last change seen; 0 before the first. */
	get revision(): number {
		return this.#revision;
	}

	/** Id of the lease, undefined while there is none. */
	get lease(): string | undefined {
		return this.#lease;
	}

	/** The endpoint in use, undefined during an outage. */
	get endpoint(): string | undefined {
		return this.#connection?.endpoint;
	}

	start(): void {
		if (!this.#closing.signal.aborted) this.#loop ??= this.#run();
	}

	/** Changes what the own keys are to be, at once; a value of undefined removes the key. */
	change(changes: [key: string, value: Buffer | undefined][]): void {
		this.#writer.change(changes);
	}

	/** Resolves when etcd has committed everything wanted so far; waits through outages. Never rejects. */
	async settled(): Promise<void> {
		if (!this.#closing.signal.aborted) await this.#writer.settled();
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
		this.#setLease(undefined);
		if (lease && connection) {
			const revoked = connection.revoke(lease).catch(() => {}); // the lease then ends by itself
			await Promise.race([revoked, delay(this.#options.leaveTimeout, undefined, { ref: false })]);
		}
		this.#closing.abort(new Error("The etcd registry was closed"));
		this.#failure?.abort(this.#closing.signal.reason);
		this.#writer.release();
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
		const connection = await this.#open(endpoint, failure.signal);
		try {
			const watching = Promise.withResolvers<void>();
			const work = [
				this.#holdLease(connection, failure.signal),
				this.#follow(connection, failure.signal, watching.resolve),
				failed(failure.signal)
			];
			await Promise.race([watching.promise, ...work]);
			this.#connection = connection;
			onUp();
			this.#listener.up(endpoint);
			this.#writer.connection = connection;
			return await Promise.race(work);
		} finally {
			this.#connection = undefined;
			this.#writer.connection = undefined;
			failure.abort(new Error("The connection to etcd was given up"));
			connection.close();
		}
	}

	/** Opens a connection, but does not make `close` wait for one that takes its time. */
	async #open(endpoint: string, signal: AbortSignal): Promise<EtcdConnection> {
		const opening = EtcdConnection.open(endpoint, this.#options);
		const connection = await Promise.race([opening, failed(signal)]).catch(error => {
			opening.then(late => late.close()).catch(() => {});
			throw error;
		});
		signal.throwIfAborted();
		return connection;
	}

	/** Renews the lease, and replaces it when it is gone. */
	async #holdLease(connection: EtcdConnection, signal: AbortSignal): Promise<never> {
		const { ttl, backoff } = this.#options;
		for (let losses = 0; ; losses++) {
			if (!this.#lease) {
				const lease = await connection.grant(ttl);
				signal.throwIfAborted();
				if (this.#revoking) return failed(signal);
				this.#setLease(lease);
				this.#listener.leaseGranted();
			}
			const gone = new AbortController();
			this.#leaseGone = gone;
			const stream = await connection.keepAlive();
			await keepAlive(stream, this.#lease as string, ttl, AbortSignal.any([signal, gone.signal]), () => {
				losses = 0;
			}).catch(error => {
				if (error !== gone.signal.reason) throw error;
			});
			if (this.#revoking) return failed(signal);
			this.#setLease(undefined);
			this.#listener.leaseLost();
			// The lease may be gone because etcd's data are: what the watch says cannot be relied on.
			this.#rewatch?.abort(new HistoryLost("the lease was lost", false));
			if (losses > 0) await delay(backoffDelay(backoff, losses), undefined, { signal });
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
					(events, revision) => {
						this.#revision = Math.max(this.#revision, revision);
						this.#listener.events(events);
						this.#writer.events(events);
					}
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
		this.#listener.snapshot(entries, { revision, dataLost, first: this.#snapshots++ === 0 });
		this.#writer.snapshot(entries);
	}

	#setLease(lease: string | undefined): void {
		this.#lease = lease;
		this.#writer.lease = lease;
	}
}

function failed(signal: AbortSignal): Promise<never> {
	return new Promise((_resolve, reject) => {
		if (signal.aborted) reject(signal.reason);
		else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
	});
}
