// Owner: the audit service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions } from "sequelize";

/** A row of `audit_heads`: the end of one source's hash chain. */
export interface AuditHeadRow {
	source: string;
	/** How many entries the chain has. */
	position: number;
	hash: string;
	/** The greatest sequence number. It is `position` unless facts are missing. */
	max_sequence: number;
}

const define: ModelAttributes<Model<AuditHeadRow, AuditHeadRow>, AuditHeadRow> = {
	source: { type: DataTypes.STRING(64), primaryKey: true },
	position: { type: DataTypes.BIGINT, allowNull: false },
	hash: { type: DataTypes.CHAR(64), allowNull: false },
	max_sequence: { type: DataTypes.BIGINT, allowNull: false }
};

const options: ModelOptions<Model<AuditHeadRow, AuditHeadRow>> = { tableName: "audit_heads", timestamps: false };

/** Ends of chains, as the DB mixin takes them. */
export const auditHeadModel = { name: "auditHead", define, options };
