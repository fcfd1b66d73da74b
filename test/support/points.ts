import assert from "node:assert/strict";
import type { ServiceBroker } from "moleculer";

export interface HistoryPage {
	entries: { entry_id: number; kind: string; points: number; balance: number }[];
	next_cursor: string | null;
}

/** The points service as its neighbours call it, by turns on each of the brokers that run it. */
export function pointsOf(...brokers: readonly ServiceBroker[]) {
	let calls = 0;
	const call = <T>(action: string, params?: object, options?: object) =>
		(brokers[calls++ % brokers.length] as ServiceBroker).call(`points.${action}`, params, options) as Promise<T>;
	const branch = (op: "action" | "compensate", gid: string) => ({ meta: { saga: { gid, step: "points", op } } });
	const as = (id: number) => ({ meta: { user: { id, role: "user", session_id: "s" } } });
	return {
		grant: (user_id: number, points: number, gid = `g-${user_id}`) =>
			call("grant", { user_id, points }, branch("action", gid)),
		revoke: (user_id: number, points: number, gid = `g-${user_id}`) =>
			call("revoke", { user_id, points }, branch("compensate", gid)),
		spend: (user_id: number, points: number, reference: string) => call("spend", { user_id, points, reference }),
		balance: async (id: number) => (await call<{ balance: number }>("balance", undefined, as(id))).balance,
		history: (id: number, params: object = {}) => call<HistoryPage>("history", params, as(id))
	};
}

export type Points = ReturnType<typeof pointsOf>;

/** 50 spend 3 of 100 points together: exactly 33 do, and the ledger says how. */
export async function raceForPoints({ grant, spend, balance, history }: Points, user: number): Promise<void> {
	await grant(user, 100);
	const spends = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => spend(user, 3, `order-${i}`)));
	const refused = spends.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
	for (const { reason } of refused) assert.equal(reason.type, "POINTS_INSUFFICIENT");
	assert.equal(refused.length, 17);
	assert.equal(await balance(user), 1);

	const { entries } = await history(user, { limit: 100 });
	const oldestFirst = entries.toReversed();
	assert.deepEqual(
		oldestFirst.map(entry => entry.balance),
		Array.from({ length: 34 }, (_, i) => 100 - 3 * i),
		"each entry has the balance that it left, in order"
	);
}

/** 20 spend under one reference together: one does, and all get its answer. */
export async function raceForReference({ grant, spend, balance }: Points, user: number): Promise<void> {
	await grant(user, 10);
	const answers = await Promise.all(Array.from({ length: 20 }, () => spend(user, 4, "order")));
	for (const answer of answers) assert.deepEqual(answer, { balance: 6 });
	await assert.rejects(spend(user, 5, "order"), { type: "POINTS_REFERENCE_USED" });
	assert.equal(await balance(user), 6);
	const rest = await Promise.all(Array.from({ length: 20 }, () => spend(user, 6, "rest")));
	for (const answer of rest) assert.deepEqual(answer, { balance: 0 }, "what it took itself is not what is missing");
}
