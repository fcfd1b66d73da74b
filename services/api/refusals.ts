import { randomUUID } from "node:crypto";
import type { Context } from "moleculer";
import { recordOf } from "../../mixins/audit/record.ts";
import type { RefusedRequests } from "../audit/audit.contract.ts";

/** A request that was refused. */
export interface Refused {
	/** The action that it was for. */
	action: string;
	error: unknown;
	/** Where it came from. */
	address: string;
	/** Whose token it carried. */
	user_id?: number;
}

/**
 * How many kinds of refusals are told apart. What an attacker can add to the log in a minute is this many entries and one,
 * however many requests that takes: the entries say how many.
 */
const MOST_KINDS = 50;
const OTHERS = { action: "*", error: "*", user_id: null } as const;

/** Counts refusals of one kind (action, error, user) as one entry, until somebody is told. */
export class Refusals {
	#counted = new Map<string, RefusedRequests[number]>();
	/** What was told and not confirmed: it is told again as it is, so that the log can know it. */
	#told: RefusedRequests = [];
	#telling: Promise<void> = Promise.resolve();

	count(ctx: Context, { action, error, address, user_id }: Refused): void {
		const about = user_id === undefined ? {} : { user_id };
		const record = { ...recordOf(ctx, { object: "request", action }, { error, about }), outcome: "refused" as const };
		const kind = `${action} ${record.error} ${record.user_id}`;
		const isKnown = this.#counted.has(kind) || this.#counted.size < MOST_KINDS;
		const key = isKnown ? kind : "others";
		const entry = this.#counted.get(key) ?? {
			event_id: randomUUID(),
			record: isKnown ? record : { ...record, ...OTHERS },
			count: 0,
			address
		};
		entry.count++;
		this.#counted.set(key, entry);
	}

	/**
	 * Hands over all that was counted so far, after those who asked before.
	 * @param told resolves when it is kept; after a rejection the same entries are handed over again, then later ones
	 */
	tell(told: (refusals: RefusedRequests) => Promise<unknown>): Promise<void> {
		const handOver = async () => {
			await this.#handOver(told);
			this.#told = [...this.#counted.values()];
			this.#counted = new Map();
			await this.#handOver(told);
		};
		this.#telling = this.#telling.then(handOver, handOver);
		return this.#telling;
	}

	async #handOver(told: (refusals: RefusedRequests) => Promise<unknown>): Promise<void> {
		if (this.#told.length === 0) return;
		await told(this.#told);
		this.#told = [];
	}
}
