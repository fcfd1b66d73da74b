import { type Model, type ModelStatic, Op, type Transaction } from "sequelize";
import type { SessionCreation, SessionRow } from "../../models/session.model.ts";

/** The table; rows are read `raw`, so they are plain objects. */
export type SessionTable = ModelStatic<Model<SessionRow, SessionCreation> & SessionRow>;
export type SessionStore = ReturnType<typeof sessionStore>;

/** A session that has been revoked. */
export type EndedSession = Pick<SessionRow, "id" | "user_id">;

/** How many sessions a login may end: there are more of them only where limits were introduced later. */
const AT_ONCE = 1_000;

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
		async rotate(
			id: string,
			currentHash: string,
			renewal: Renewal,
			transaction: Transaction
		): Promise<{ user_id: number } | null> {
			const current = { id, token_hash: currentHash, expires_at: { [Op.gt]: new Date() }, ...live };
			const [rotated] = await sessions.update(renewal, { where: current, transaction });
			return rotated === 1 ? sessions.findByPk(id, { attributes: ["user_id"], raw: true, transaction }) : null;
		},

		/**
		 * Revokes the live sessions among those named.
		 * @param beyond leaves so many, those that were used last
		 * @returns the sessions that it revoked
		 */
		async revoke(
			which: { id: string } | { user_id: number },
			transaction: Transaction,
			beyond = 0
		): Promise<EndedSession[]> {
			const ended = await sessions.findAll({
				attributes: ["id", "user_id"],
				where: { ...which, ...live },
				// Each refresh puts the end off.
				...(beyond > 0 && { order: [["expires_at", "DESC"]], offset: beyond, limit: AT_ONCE }),
				raw: true,
				transaction
			});
			if (ended.length === 0) return [];
			const ids = ended.map(({ id }) => id);
			await sessions.update({ revoked_at: new Date() }, { where: { id: ids, ...live }, transaction });
			return ended;
		},

		/** In the order of their ids. */
		async revokedSince(since: Date, { after, limit }: { after: string; limit: number }): Promise<string[]> {
			const where = { revoked_at: { [Op.gte]: since }, id: { [Op.gt]: after } };
			const rows = await sessions.findAll({ attributes: ["id"], where, order: ["id"], limit, raw: true });
			return rows.map(({ id }) => id);
		},

		/** Forgets the sessions of a user that ended before `before`. */
		async forget(userId: number, before: Date): Promise<void> {
			await sessions.destroy({ where: { user_id: userId, expires_at: { [Op.lt]: before } } });
		}
	};
}
