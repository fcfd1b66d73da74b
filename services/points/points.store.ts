import { literal, type Model, type ModelStatic, Op, type Transaction } from "sequelize";
import type { AccountRow } from "../../models/points-account.model.ts";
import type { EntryCreation, EntryRow } from "../../models/points-entry.model.ts";
import { pointsError } from "./points.contract.ts";
import type { StoredEntry } from "./points.domain.ts";

export type AccountTable = ModelStatic<Model<AccountRow> & AccountRow>;
export type EntryTable = ModelStatic<Model<EntryRow, EntryCreation> & EntryRow>;
export type PointsStore = ReturnType<typeof pointsStore>;

/** A change of an account; `points` negative to take. */
export type Change = Pick<EntryRow, "user_id" | "kind" | "points" | "reference">;

type RunInTransaction = <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;

/** Accounts and their ledger. Both change in one transaction, the balance in one statement. */
export function pointsStore(accounts: AccountTable, entries: EntryTable) {
	async function book(change: Change, transaction: Transaction): Promise<{ balance: number }> {
		const { user_id, points } = change;
		if (points > 0) await accounts.bulkCreate([{ user_id, balance: 0 }], { ignoreDuplicates: true, transaction });
		// The condition in the statement is what keeps two that spend together from spending the same points.
		const [changed] = await accounts.update(
			{ balance: literal(`balance + ${points}`) as unknown as number },
			{ where: { user_id, balance: { [Op.gte]: -points } }, transaction }
		);
		if (changed === 0) throw pointsError("POINTS_INSUFFICIENT");
		const account = await accounts.findByPk(user_id, { attributes: ["balance"], raw: true, transaction });
		const balance = account?.balance ?? 0;
		await entries.create({ ...change, balance }, { transaction });
		return { balance };
	}

	return {
		/** Books a change in a transaction of the caller's. @throws POINTS_INSUFFICIENT */
		book,

		/**
		 * Books a change once, however often it is asked for.
		 * @param inTransaction runs the change; called only where it was not booked before
		 * @throws POINTS_INSUFFICIENT, POINTS_REFERENCE_USED
		 */
		async bookOnce(change: Change, inTransaction: RunInTransaction): Promise<{ balance: number }> {
			const { user_id, kind, reference, points } = change;
			const booked = await this.find(user_id, kind, reference);
			let refusal: unknown;
			try {
				if (!booked) return await inTransaction(transaction => book(change, transaction));
			} catch (error) {
				// The same change, made between the look and the insert, may also be what took the points.
				refusal = error;
			}
			const entry = booked ?? (await this.find(user_id, kind, reference));
			if (!entry) throw refusal;
			if (entry.points !== points) throw pointsError("POINTS_REFERENCE_USED");
			return { balance: entry.balance };
		},

		find(user_id: number, kind: EntryRow["kind"], reference: string) {
			return entries.findOne({ attributes: ["points", "balance"], where: { user_id, kind, reference }, raw: true });
		},

		async balanceOf(userId: number): Promise<number> {
			return (await accounts.findByPk(userId, { attributes: ["balance"], raw: true }))?.balance ?? 0;
		},

		/** The newest changes of a user first, older than `before` where given. */
		async page(userId: number, before: number | undefined, limit: number): Promise<StoredEntry[]> {
			const rows = await entries.findAll({
				attributes: ["id", "kind", "points", "balance", "created_at"],
				where: { user_id: userId, ...(before !== undefined && { id: { [Op.lt]: before } }) },
				order: [["id", "DESC"]],
				limit,
				raw: true
			});
			// SQLite keeps times as text.
			return rows.map(row => ({ ...row, created_at: new Date(row.created_at) }));
		}
	};
}
