import type { IEvent, IKeyValue } from "etcd3";
import type { EtcdConnection } from "./client.ts";
import { type Difference, OwnKeys } from "./own-keys.ts";

const MAX_OPERATIONS = 100; // etcd allows 128 in a transaction by default

/** What can go wrong with a write. */
export interface WriterListener {
	/** The lease does not exist any more. */
	leaseGone(error: Error): void;
	/** The connection is of no use any more. */
	failed(connection: EtcdConnection, error: Error): void;
}

/** Brings the own keys in etcd in line with what is wanted: one transaction at a time, over whatever connection there is. */
export class KeyWriter {
	readonly #keys = new OwnKeys();
	readonly #listener: WriterListener;
	readonly #waiters = new Set<() => void>();
	#connection: EtcdConnection | undefined;
	#writing: EtcdConnection | undefined;
	#lease: string | undefined;

	constructor(listener: WriterListener) {
		this.#listener = listener;
	}

	/** The connection to write over from now on; undefined while there is none. */
	set connection(connection: EtcdConnection | undefined) {
		this.#connection = connection;
		this.write();
	}

	/** The lease that holds the keys. A new one starts without any. */
	set lease(lease: string | undefined) {
		this.#lease = lease;
		this.#keys.forget();
		this.write();
	}

	/** Changes that are to appear at once: a value of undefined removes the key. */
	change(changes: [key: string, value: Buffer | undefined][]): void {
		for (const [key, value] of changes) {
			if (value) this.#keys.want(key, value);
			else this.#keys.unwant(key);
		}
		this.write();
	}

	/** Resolves when everything wanted is committed, or with `release`. Never rejects. */
	async settled(): Promise<void> {
		if (this.#connection && this.#lease && !this.#writing && this.#isSettled()) return;
		await new Promise<void>(resolve => this.#waiters.add(resolve));
	}

	/** Lets go of everybody who waits in `settled`. */
	release(): void {
		for (const resolve of this.#waiters) resolve();
		this.#waiters.clear();
	}

	/** All keys as of now. */
	snapshot(entries: IKeyValue[]): void {
		if (!this.#writing) this.#keys.forget(); // a write under way confirms itself
		for (const entry of entries) this.#observe(entry, entry.value);
		this.write();
	}

	/** Changes of keys, by anybody. */
	events(events: IEvent[]): void {
		const differences = events.filter(({ type, kv }) => this.#observe(kv, type === "Delete" ? undefined : kv.value));
		if (differences.length > 0) this.write();
	}

	/** Writes what differs, if anything does and there are a connection and a lease. */
	write(): void {
		const connection = this.#connection;
		const lease = this.#lease;
		if (!connection || !lease || this.#writing === connection) return;
		if (this.#isSettled()) {
			this.release();
			return;
		}
		this.#writing = connection;
		this.#commit(connection, lease)
			.catch(error => this.#failed(connection, error))
			.finally(() => {
				if (this.#writing !== connection) return;
				this.#writing = undefined;
				this.write();
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

	#failed(connection: EtcdConnection, error: Error): void {
		if (this.#connection !== connection) return;
		if (error.message.includes("requested lease not found")) {
			this.#lease = undefined;
			this.#listener.leaseGone(error);
		} else {
			this.#connection = undefined;
			this.#listener.failed(connection, error);
		}
	}

	#observe({ key, mod_revision, lease }: IKeyValue, value: Buffer | undefined): boolean {
		return this.#keys.observe(key.toString(), value, Number(mod_revision), lease === this.#lease);
	}

	#isSettled(): boolean {
		const { puts, deletes } = this.#keys.difference();
		return puts.length === 0 && deletes.length === 0;
	}
}
