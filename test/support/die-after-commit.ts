// Loaded before a node starts (`--import`): the process is killed right after it has committed a call with an
// Idempotency-Key, before anybody gets the answer.
import type { Transaction } from "sequelize";
import { IdempotencyKeys } from "../../mixins/idempotency/store.ts";

const { remember } = IdempotencyKeys.prototype;

IdempotencyKeys.prototype.remember = function (key, result, transaction: Transaction) {
	transaction.afterCommit(() => void process.kill(process.pid, "SIGKILL"));
	return remember.call(this, key, result, transaction);
};
