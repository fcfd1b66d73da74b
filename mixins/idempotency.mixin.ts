import { type Context, Errors, type Service, type ServiceSchema } from "moleculer";
import type { Sequelize, Transaction } from "sequelize";
import { pruneAll } from "./db/prune.ts";
import { fingerprintOf, hashOf, type KeyOf, ownerOf } from "./idempotency/key.ts";
import { IdempotencyKeys } from "./idempotency/store.ts";

export type { KeyOf } from "./idempotency/key.ts";

/** Options of the mixin. */
export interface IdempotencyOptions {
	/** What a call is known by: whose it is and the key the client gave; undefined for a call without a key. */
	keyOf: KeyOf;
	/** How long a key and its answer are kept at least, in milliseconds; called when old ones are removed. Default 24 h. */
	retention?: () => number;
}

/** What became of a call. */
export interface Outcome<T> {
	result: T;
	/** The work had been done before: `result` is the first answer. */
	repeated: boolean;
}

/** What the mixin adds to `this` of a service. */
export interface IdempotencyMethods {
	/**
	 * Does work once per key: what it returns is stored in its own transaction, and is the answer of every later call with
	 * the same key. A call that comes meanwhile waits for the first to end. Work that fails leaves no trace. It must come
	 * first in the transaction, which the caller runs again after a deadlock.
	 *
	 * @param work what to do; what it returns must be JSON, and must not be secret
	 * @throws IDEMPOTENCY_KEY_REUSED (422) where the key belongs to another action, or to other parameters
	 */
	idempotent<T>(ctx: Context, transaction: Transaction, work: () => Promise<T>): Promise<Outcome<T>>;
	/** Removes all keys whose time is over. @returns how many */
	pruneIdempotencyKeys(): Promise<number>;
}

interface IdempotentService extends Service, IdempotencyMethods {
	db: Sequelize;
}

const RETENTION_MS = 24 * 3_600_000;
const PRUNE_MS = 60_000;
const REPEATED = "idempotency.repeated.total";
const REUSED = "idempotency.reused.total";

/**
 * Makes an action that creates something safe to repeat: `this.idempotent(ctx, transaction, work)`. The service needs
 * `this.db` (mixins/db.mixin.ts, after it in the list of mixins), or it does not start, and the table of
 * mixins/idempotency/README.md.
 */
export function IdempotencyMixin({
	keyOf,
	retention = () => RETENTION_MS
}: IdempotencyOptions): Partial<ServiceSchema> {
	const timers = new WeakMap<Service, NodeJS.Timeout>();
	const storeOf = (service: Service) => new IdempotencyKeys((service as IdempotentService).db);

	return {
		methods: {
			async idempotent<T>(
				this: Service,
				ctx: Context,
				transaction: Transaction,
				work: () => Promise<T>
			): Promise<Outcome<T>> {
				const given = keyOf(ctx);
				if (!given) return { result: await work(), repeated: false };

				const store = storeOf(this);
				const key = { owner: ownerOf(given.owner), key_hash: hashOf(given.key) };
				const fingerprint = fingerprintOf(ctx);
				if (await store.take(key, fingerprint, transaction)) {
					const result = await work();
					await store.remember(key, result, transaction);
					return { result, repeated: false };
				}
				const first = await store.read<T>(key, transaction);
				const labels = { action: ctx.action?.name ?? "" };
				if (first.fingerprint === fingerprint) {
					this.broker.metrics.increment(REPEATED, labels);
					return { result: first.result, repeated: true };
				}
				this.broker.metrics.increment(REUSED, labels);
				const message = "This Idempotency-Key was used with other parameters";
				throw new Errors.MoleculerClientError(message, 422, "IDEMPOTENCY_KEY_REUSED");
			},

			pruneIdempotencyKeys(this: Service) {
				return pruneAll(limit => storeOf(this).prune(retention(), limit));
			}
		},

		started() {
			const { db, logger, name } = this as unknown as IdempotentService;
			if (!db)
				throw new Error(`Service '${name}': the idempotency mixin stands before the DB mixin in the list of mixins`);
			registerMetrics(this.broker.metrics);
			const prune = () =>
				this.pruneIdempotencyKeys().catch((error: unknown) =>
					logger.debug("Idempotency keys can not be pruned", error)
				);
			timers.set(this, setInterval(prune, PRUNE_MS).unref());
		},

		stopped() {
			clearInterval(timers.get(this));
		}
	};
}

function registerMetrics(metrics: Service["broker"]["metrics"]): void {
	if (metrics.hasMetric(REPEATED)) return;
	const counter = (name: string, description: string) =>
		metrics.register({ type: "counter", name, labelNames: ["action"], description });
	counter(REPEATED, "Calls that got the answer of an earlier one with the same Idempotency-Key");
	counter(REUSED, "Calls that were refused since their Idempotency-Key belongs to another request");
}
