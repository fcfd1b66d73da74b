import { QueryTypes, type Sequelize, Transaction } from "sequelize";

const LOCK_TIMEOUT_S = 60;
/** A week. */
const LONGEST_S = 604_800;

/**
 * Runs a function in a transaction while nobody else runs one under the same name on this database, in whichever
 * process. Others wait: on SQLite for the write lock, on MySQL up to a minute for a named lock, which is held by a
 * connection of its own, since MySQL ends a transaction at each DDL statement.
 *
 * @throws Error when the named lock is not free in time
 */
export function exclusively<T>(
	sequelize: Sequelize,
	name: string,
	work: (transaction: Transaction) => Promise<T>
): Promise<T> {
	if (sequelize.getDialect() === "sqlite") return sequelize.transaction({ type: Transaction.TYPES.IMMEDIATE }, work);

	return sequelize.transaction(async transaction => {
		// Named locks belong to the whole server, and their names are short.
		const options = { transaction, replacements: { name, timeout: LOCK_TIMEOUT_S }, type: QueryTypes.SELECT } as const;
		const lock = "CONCAT('migrate:', MD5(CONCAT(DATABASE(), '.', :name)))";
		const [answer] = await sequelize.query<{ taken: number | null; silence: number }>(
			`SELECT GET_LOCK(${lock}, :timeout) AS taken, @@SESSION.wait_timeout AS silence`,
			options
		);
		if (answer?.taken !== 1) throw new Error(`Somebody else has been migrating '${name}' for ${LOCK_TIMEOUT_S} s`);
		// This connection is silent while the other one works, maybe for hours, and the lock is gone with it.
		await sequelize.query(`SET SESSION wait_timeout = ${LONGEST_S}`, { transaction });
		try {
			return await sequelize.transaction(work);
		} finally {
			await sequelize.query(`SELECT RELEASE_LOCK(${lock})`, options);
			await sequelize.query(`SET SESSION wait_timeout = ${answer.silence}`, { transaction });
		}
	});
}
