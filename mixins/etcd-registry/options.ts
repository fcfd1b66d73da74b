/** Options of `EtcdDiscoverer`. Times are milliseconds unless said otherwise. */
export interface EtcdDiscovererOptions {
	/** URLs of the etcd servers, `http://host:2379` or `https://host:2379`; one is used at a time, the next on failure. */
	endpoints: string[];
	/** First part of every key; the broker's namespace is appended as `<prefix>-<namespace>`. Default `moleculer`. */
	prefix?: string;
	/** Time to live of the node's lease in seconds, 2 or more; the same on all nodes of a mesh. Default 5. */
	ttl?: number;
	/** User of an etcd with authentication. */
	auth?: EtcdAuth;
	/** PEM texts for `https:` endpoints. */
	tls?: EtcdTls;
	/** Deadline of each unary etcd call. Default 2000. */
	requestTimeout?: number;
	/** Pause between attempts to reach etcd: grows from `base` to `max`, each time with a random part. Default 100, 2000. */
	backoff?: Partial<BackoffOptions>;
	/** Seconds on top of the TTL during which absent nodes are kept after an etcd outage. Default 2. */
	holdMargin?: number;
	/** Values of this many bytes and more are stored gzipped. Default 1024. */
	compressFrom?: number;
	/** How long the start of a broker waits for the first answer of etcd before it goes on without. Default 2000. */
	startTimeout?: number;
	/** How long a leaving node waits for etcd to accept its withdrawal. Default 1000. */
	leaveTimeout?: number;
	/** How long a leaving node still takes requests, so that its callers can notice. Default 100. */
	noticeDelay?: number;
	/** How long a leaving node waits for requests in progress. Default 10000. */
	drainTimeout?: number;
	/** A node without its transporter for longer than this withdraws its keys until it is back. Default 1000. */
	transporterGrace?: number;
	/** When a node stops trusting another one before etcd says so. */
	suspects?: Partial<Omit<SuspectOptions, "probe">> & { probe?: Partial<BackoffOptions> };
}

export interface EtcdAuth {
	username: string;
	password: string;
}

export interface EtcdTls {
	/** Certificate authority of the servers; those of Node where it is left out. */
	ca?: string | Buffer;
	/** Client certificate and its key, where etcd asks for one. */
	cert?: string | Buffer;
	key?: string | Buffer;
}

export interface BackoffOptions {
	base: number;
	max: number;
}

export interface SuspectOptions {
	/** A node that owes an answer and says nothing for this long is asked whether it is there at all. Default 40. */
	checkAfter: number;
	/** Consecutive unanswered requests after which a node is pinged. Default 3. */
	timeouts: number;
	/** How long a ping may take. Default 500. */
	pingTimeout: number;
	/** Pause between pings of a suspect: grows from `base` to `max`. Default 100, 1000. */
	probe: BackoffOptions;
	/** "No responders" are not held against a node for this long after the own transporter reconnected. Default 2000. */
	quietAfterReconnect: number;
}

/** `EtcdDiscovererOptions` with every default filled in. */
export type ResolvedOptions = Omit<Required<EtcdDiscovererOptions>, "auth" | "tls" | "backoff" | "suspects"> & {
	auth: EtcdAuth | undefined;
	tls: EtcdTls | undefined;
	backoff: BackoffOptions;
	suspects: SuspectOptions;
};

/**
 * Fills in the defaults.
 *
 * @throws Error when there is no endpoint or the TTL is below 2 seconds (etcd's own minimum is about that)
 */
export function resolveOptions(options: EtcdDiscovererOptions): ResolvedOptions {
	const { auth, tls, backoff, suspects, ...rest } = options;
	const { probe, ...rules } = suspects ?? {};
	const resolved: ResolvedOptions = {
		prefix: "moleculer",
		ttl: 5,
		requestTimeout: 2000,
		holdMargin: 2,
		compressFrom: 1024,
		startTimeout: 2000,
		leaveTimeout: 1000,
		noticeDelay: 100,
		drainTimeout: 10_000,
		transporterGrace: 1000,
		...withoutUndefined(rest),
		endpoints: rest.endpoints,
		auth,
		tls,
		backoff: { base: 100, max: 2000, ...withoutUndefined(backoff) },
		suspects: {
			checkAfter: 40,
			timeouts: 3,
			pingTimeout: 500,
			quietAfterReconnect: 2000,
			...withoutUndefined(rules),
			probe: { base: 100, max: 1000, ...withoutUndefined(probe) }
		}
	};
	if (!Array.isArray(resolved.endpoints) || resolved.endpoints.length === 0) {
		throw new Error("The etcd registry needs at least one endpoint");
	}
	if (!(resolved.ttl >= 2)) throw new Error(`The etcd registry's ttl must be 2 seconds or more, not ${resolved.ttl}`);
	return resolved;
}

function withoutUndefined<T extends object>(options: T = {} as T): T {
	return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
