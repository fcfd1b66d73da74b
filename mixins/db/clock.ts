import type { Sequelize } from "sequelize";

/**
 * The SQL expression for now, in milliseconds since the epoch. Leases and ages are reckoned with the database's clock
 * only: the clocks of two nodes may differ by more than a lease.
 */
export function nowOf(db: Sequelize): string {
	return db.getDialect() === "sqlite"
		? "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
		: "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
}
