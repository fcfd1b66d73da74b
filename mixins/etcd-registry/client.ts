import { createRequire } from "node:module";
import { noop } from "cockatiel";
import type * as Rpc from "etcd3";
import type { Etcd3, IDuplexStream, IKeyValue, IRequestOp } from "etcd3";
import type { EtcdAuth, EtcdTls } from "./options.ts";

const MEGABYTE = 1024 * 1024;
const MAX_STALE_TOKENS = 3;

export interface ConnectionOptions {
	auth?: EtcdAuth | undefined;
	tls?: EtcdTls | undefined;
	/** Deadline of each unary call in milliseconds. */
	requestTimeout: number;
}

export type WatchStream = IDuplexStream<Rpc.IWatchRequest, Rpc.IWatchResponse>;
export type KeepAliveStream = IDuplexStream<Rpc.ILeaseKeepAliveRequest, Rpc.ILeaseKeepAliveResponse>;

/** The part of a grpc-js call that the transformer below touches (`CallProperties` of @grpc/grpc-js). */
interface Call {
	metadata: { set(key: string, value: string): void };
	methodDefinition: { path: string };
	callback?: (error: Error | null, value?: unknown) => void;
}

let connections = 0;

/**
 * One connection to one endpoint of etcd through `etcd3`'s raw clients. It is opened fresh after every failure and never
 * repaired: what is left of a broken one (a stuck socket, gRPC's own reconnect back-off, an old token) dies with it.
 * Every unary call has a deadline, an endpoint without leader refuses calls and ends streams, etcd3's retries and circuit
 * breaker are off (see "Known pits" in the README).
 */
export class EtcdConnection {
	readonly endpoint: string;
	readonly #client: Etcd3;
	readonly #auth: EtcdAuth | undefined;
	#token: string | undefined;
	#renewal: Promise<void> | undefined;
	#staleTokens = 0;

	private constructor(endpoint: string, options: ConnectionOptions) {
		this.endpoint = endpoint;
		this.#auth = options.auth;
		// Loaded where it is used: it brings gRPC along, and a process without etcd starts 0.2 s earlier.
		const { Etcd3 } = createRequire(import.meta.url)("etcd3") as typeof Rpc;
		this.#client = new Etcd3({
			hosts: endpoint,
			...(options.tls && endpoint.startsWith("https:") ? { credentials: credentialsOf(options.tls) } : {}),
			defaultCallOptions: call => (call.isStream ? {} : { deadline: Date.now() + options.requestTimeout }),
			faultHandling: { host: () => noop, global: noop },
			grpcOptions: {
				// A user agent of its own keeps grpc-js from sharing sockets with earlier connections.
				"grpc.primary_user_agent": `moleculer-etcd-registry/${++connections}`,
				"grpc.keepalive_time_ms": 10_000,
				"grpc.keepalive_timeout_ms": 3000,
				"grpc.enable_channelz": 0,
				"grpc.enable_retries": 0,
				"grpc.max_receive_message_length": 64 * MEGABYTE,
				callInvocationTransformer: (call: Call) => this.#prepare(call)
			}
		});
	}

	/**
	 * Connects, authenticates and asks for the endpoint's state.
	 *
	 * @throws Error when the endpoint cannot be reached within the deadline, refuses the user or has no leader
	 */
	static async open(endpoint: string, options: ConnectionOptions): Promise<EtcdConnection> {
		const connection = new EtcdConnection(endpoint, options);
		try {
			await connection.#authenticate();
			const { leader } = await connection.#client.maintenance.status();
			if (leader === "0") throw new Error(`etcd at ${endpoint} has no leader`);
			return connection;
		} catch (error) {
			connection.close();
			throw error;
		}
	}

	/** Grants a lease of `ttl` seconds and returns its id. */
	async grant(ttl: number): Promise<string> {
		const { ID } = await this.#client.leaseClient.leaseGrant({ TTL: ttl });
		return ID;
	}

	async revoke(lease: string): Promise<void> {
		await this.#client.leaseClient.leaseRevoke({ ID: lease });
	}

	/** Reads all keys with a prefix, and the revision at which they were read. */
	async readAll(prefix: string): Promise<{ entries: IKeyValue[]; revision: number }> {
		const { kvs, header } = await this.#client.kv.range({ key: Buffer.from(prefix), range_end: prefixEnd(prefix) });
		return { entries: kvs, revision: Number(header.revision) };
	}

	/** Applies all operations in one transaction and returns its revision. */
	async apply(operations: IRequestOp[]): Promise<number> {
		const { header } = await this.#client.kv.txn({ success: operations });
		return Number(header.revision);
	}

	async read(key: string): Promise<IKeyValue | undefined> {
		const { kvs } = await this.#client.kv.range({ key: Buffer.from(key) });
		return kvs[0];
	}

	/** Writes `value` keeping the key's lease, unless the key has changed since `revision`; returns whether it did. */
	async replace(key: string, value: Buffer, revision: string): Promise<boolean> {
		const bytes = Buffer.from(key);
		const { succeeded } = await this.#client.kv.txn({
			compare: [{ key: bytes, target: "Mod", result: "Equal", mod_revision: revision }],
			success: [{ request_put: { key: bytes, value, ignore_lease: true } }]
		});
		return succeeded;
	}

	watch(): Promise<WatchStream> {
		return this.#client.watchClient.watch();
	}

	keepAlive(): Promise<KeepAliveStream> {
		return this.#client.leaseClient.leaseKeepAlive();
	}

	close(): void {
		this.#client.close();
	}

	async #authenticate(): Promise<void> {
		if (!this.#auth) return;
		const { username: name, password } = this.#auth;
		const { token } = await this.#client.auth.authenticate({ name, password });
		this.#token = token;
	}

	#prepare(call: Call): Call {
		call.metadata.set("hasleader", "true");
		if (!this.#auth || call.methodDefinition.path.endsWith("/Authenticate")) return call;

		const token = this.#token;
		if (token) call.metadata.set("token", token);
		return call.callback ? { ...call, callback: this.#renewingToken(token, call.callback) } : call;
	}

	// etcd3 repeats a call at once when its token is not valid any more. Let it do so after the token was renewed.
	#renewingToken(token: string | undefined, callback: NonNullable<Call["callback"]>): NonNullable<Call["callback"]> {
		return (error, value) => {
			if (!error?.message.includes("invalid auth token")) {
				this.#staleTokens = 0;
				callback(error, value);
				return;
			}
			if (++this.#staleTokens > MAX_STALE_TOKENS) {
				callback(new Error("etcd refuses a fresh auth token"));
				return;
			}
			if (token === this.#token) {
				this.#renewal ??= this.#authenticate().finally(() => {
					this.#renewal = undefined;
				});
			}
			Promise.resolve(this.#renewal).then(
				() => callback(error),
				renewalError => callback(renewalError)
			);
		};
	}
}

/** First key after all keys with this prefix, etcd's `range_end`. */
export function prefixEnd(prefix: string): Buffer {
	const end = Buffer.from(prefix);
	const last = end.length - 1;
	end[last] = (end[last] as number) + 1;
	return end;
}

type Credentials = NonNullable<Rpc.IOptions["credentials"]>;

function credentialsOf(tls: EtcdTls): Credentials {
	const credentials: Partial<Credentials> = {
		...(tls.ca ? { rootCertificate: Buffer.from(tls.ca) } : {}),
		...(tls.key ? { privateKey: Buffer.from(tls.key) } : {}),
		...(tls.cert ? { certChain: Buffer.from(tls.cert) } : {})
	};
	// etcd3's types leave out that gRPC falls back to Node's authorities.
	return credentials as Credentials;
}
