import type { Service, ServiceSchema } from "moleculer";
import type { Sequelize, Transaction } from "sequelize";
import { Inbox } from "./inbox/inbox.ts";

export type { Applied, InboxMessage } from "./inbox/inbox.ts";

/** What the mixin adds to `this` of a service. */
export interface InboxMethods {
	inbox: Inbox;
}

/** Options of the mixin. */
export interface InboxOptions {
	/** How long a message id is kept, in milliseconds. Longer than an outbox keeps its rows. Default 30 days. */
	retention?: number;
}

interface InboxService extends Service, InboxMethods {
	db: Sequelize;
	transaction: <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;
}

const RETENTION_MS = 30 * 24 * 3_600_000;
const PRUNE_MS = 60_000;

/**
 * Gives a service an inbox: `this.inbox.once | newer | inOrder(consumer, message, work)` make the effect of a message
 * and the knowledge of it one transaction. The service needs `this.db` and `this.transaction` (mixins/db.mixin.ts) and
 * the tables of mixins/inbox/README.md.
 */
export function InboxMixin({ retention = RETENTION_MS }: InboxOptions = {}): Partial<ServiceSchema> {
	const timers = new WeakMap<Service, NodeJS.Timeout>();
	return {
		started() {
			const { db, transaction, logger, name } = this as unknown as InboxService;
			if (!db) throw new Error(`Service '${name}': the inbox mixin stands before the DB mixin in the list of mixins`);
			const inbox = new Inbox(db, work => transaction(work));
			this.inbox = inbox;
			const prune = () => inbox.prune(retention).catch(error => logger.debug("The inbox can not be pruned", error));
			timers.set(this, setInterval(prune, PRUNE_MS).unref());
		},

		stopped() {
			clearInterval(timers.get(this));
		}
	};
}
