import type { Transaction } from "sequelize";
import type { Statements } from "../db/prepared.ts";

/** For a whole outbox one statement could take longer than a connection waits for an answer. */
const SLICE_ROWS = 5_000;

interface State {
	/** 0: nothing is published again; else one more than the number of slices that have been taken up. */
	republish: number;
	oldest: number | null;
	newest: number | null;
}

/**
 * Publishes what has been published once more, slice by slice in the order of ids: when the last slice is published, the
 * next one waits to be. Newer rows come after all of them, so that the facts of an aggregate keep their order.
 *
 * @param pending what follows FROM, for the rows that wait to be published
 * @returns the id before which rows may be published now; undefined where nothing is published again any more
 */
export async function takeUpSlice(
	{ select, write }: Statements,
	pending: string,
	transaction: Transaction
): Promise<number | undefined> {
	const [state] = await select<State>(
		`SELECT republish, (SELECT MIN(id) FROM outbox) AS oldest, (SELECT MAX(id) FROM outbox) AS newest FROM outbox_relay`,
		[],
		transaction
	);
	let slice = Math.max(Number(state?.republish) - 1, Math.floor(Number(state?.oldest) / SLICE_ROWS));
	const [open] = await select(`SELECT 1 FROM ${pending} AND id < ? LIMIT 1`, [slice * SLICE_ROWS], transaction);
	if (open) return slice * SLICE_ROWS;

	for (; slice * SLICE_ROWS <= Number(state?.newest ?? -1); slice++) {
		const end = (slice + 1) * SLICE_ROWS;
		const { rows } = await write(
			"UPDATE outbox SET published_at = NULL WHERE id >= ? AND id < ? AND published_at IS NOT NULL",
			[slice * SLICE_ROWS, end],
			transaction
		);
		if (rows === 0) continue;
		await write("UPDATE outbox_relay SET republish = ?", [slice + 2], transaction);
		return end;
	}
	await write("UPDATE outbox_relay SET republish = 0", [], transaction);
	return undefined;
}
