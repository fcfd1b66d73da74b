import { setTimeout as delay } from "node:timers/promises";
import { BaseError, type Sequelize, type Transaction } from "sequelize";
import { statements } from "./prepared.ts";

const ATTEMPTS = 5;
const BASE_PAUSE_MS = 20;

/** ER_LOCK_WAIT_TIMEOUT and ER_LOCK_DEADLOCK: the database asks for the transaction to be tried again. */
const RETRYABLE = new Set([1205, 1213]);

/** A transaction within another one is a savepoint. */
type Nested = Transaction & { parent?: Transaction; finished?: string };
type Control = (transaction: Nested, options: object) => Promise<unknown>;
type TransactionStatements = Record<"startTransaction" | "commitTransaction", Control>;

/**
 * Sends the begin and the end of MySQL transactions by the driver alone: through Sequelize's query builder they cost more
 * than the statements between them. Savepoints and rollbacks stay as they are.
 */
export function shortenTransactions(sequelize: Sequelize): void {
	const queries = sequelize.getQueryInterface() as unknown as TransactionStatements;
	const { control } = statements(sequelize);
	const start = queries.startTransaction.bind(queries);
	queries.startTransaction = (transaction, options) =>
		transaction.parent ? start(transaction, options) : control("START TRANSACTION", transaction);
	queries.commitTransaction = async transaction => {
		if (transaction.parent) return;
		const committed = control("COMMIT", transaction);
		// As Sequelize does it: nothing else may be sent in this transaction from now on.
		transaction.finished = "commit";
		await committed;
	};
}

/** Whether the database asks for a transaction to be tried again; then nothing of it was kept. */
export function isRetryable(error: unknown): boolean {
	if (!(error instanceof BaseError) || !("parent" in error)) return false;
	const { parent } = error;
	return parent instanceof Error && "errno" in parent && RETRYABLE.has(Number(parent.errno));
}

/**
 * Runs a function in a transaction: READ COMMITTED on MySQL, BEGIN IMMEDIATE on SQLite. It commits when the function
 * resolves and rolls back when it throws. On a deadlock or a lock wait timeout of MySQL the whole function runs again,
 * up to five times in all, after a random pause that may double each time ("full jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): it must have no effects outside of the
 * database.
 *
 * @param work gets the transaction, which every query in it must be given
 */
export async function runInTransaction<T>(
	sequelize: Sequelize,
	work: (transaction: Transaction) => Promise<T>
): Promise<T> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await sequelize.transaction(work);
		} catch (error) {
			if (attempt === ATTEMPTS || !isRetryable(error)) throw error;
		}
		await delay(Math.random() * BASE_PAUSE_MS * 2 ** attempt);
	}
}
