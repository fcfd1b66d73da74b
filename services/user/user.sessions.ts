import { type Model, type ModelStatic, Op, type Transaction } from "sequelize";
import type { SessionCreation, SessionRow } from "../../models/session.model.ts";

/** The table; rows are read `raw`, so they are plain objects. */
export type SessionTable = ModelStatic<Model<SessionRow, SessionCreation> & SessionRow>;
export type SessionStore = ReturnType<typeof sessionStore>;

/** What a session's row is changed to when it is opened or its refresh token rotates. */
interface Renewal {
	token_hash: string;
	expires_at: Date;
}

/** The sessions: one row a login, holding the hash of the one refresh token that is good now. */
export function sessionStore(sessions: SessionTable) {
	const live = { revoked_at: null };

	return {
		async open(session: { id: string; user_id: number } & Renewal, transaction: Transaction): Promise<void> {
			await sessions.create(session, { transaction });
		},

		/**
		 * Replaces the current refresh token in one statement, so that of two users of one token exactly one wins.
		 * @returns the session's user, or null where `currentHash` is not the current token of a live session
		 */
		async rotate(id: string, currentHash: string, renewal: Renewal): Promise<{ user_id: number } | null> {
			const current = { id, token_hash: currentHash, expires_at: { [Op.gt]: new Date() }, ...live };
			const [rotated] = await sessions.update(renewal, { where: current });
			return rotated === 1 ? sessions.findByPk(id, { attributes: ["user_id"], raw: true }) : null;
		},

		/** Revokes the live sessions among those named. @returns the ids of the sessions it revoked */
		async revoke(which: { id: string } | { user_id: number }, transaction?: Transaction): Promise<string[]> {
			const rows = await sessions.findAll({ attributes: ["id"], where: { ...which, ...live }, raw: true, transaction });
			const ids = rows.map(row => row.id);
			await sessions.update({ revoked_at: new Date() }, { where: { id: ids, ...live }, transaction });
			return ids;
		},

		async revokedSince(since: Date): Promise<string[]> {
			const where = { revoked_at: { [Op.gte]: since } };
			return (await sessions.findAll({ attributes: ["id"], where, raw: true })).map(row => row.id);
		},

		/** Forgets the sessions of a user that ended before `before`. */
		async forget(userId: number, before: Date): Promise<void> {
			await sessions.destroy({ where: { user_id: userId, expires_at: { [Op.lt]: before } } });
		}
	};
}
