// Owner: the audit service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions, type Optional } from "sequelize";

/** A row of `audit_entries`: never changed, never deleted. */
export interface AuditEntryRow {
	id: number;
	/** The service that it comes from. */
	source: string;
	/** Its place in the source's hash chain, from 1. */
	position: number;
	/** Its number among all facts of the source, from 1 without gaps. */
	sequence: number;
	event_id: string;
	/** When it happened, in milliseconds since the epoch. */
	time: number;
	user_id: number | null;
	action: string;
	object_type: string;
	object_id: string | null;
	outcome: string;
	error: string | null;
	request_id: string;
	trace_id: string;
	/** JSON. */
	details: string;
	/** SHA-256 in hexadecimal of the hash before and this entry. */
	hash: string;
}

/** What a new row needs. */
export type AuditEntryCreation = Optional<AuditEntryRow, "id">;

// Sequelize writes into the attributes: each column needs an object of its own.
const number = () => ({ type: DataTypes.BIGINT, allowNull: false });
const string = () => ({ type: DataTypes.STRING, allowNull: false });
const define: ModelAttributes<Model<AuditEntryRow, AuditEntryCreation>, AuditEntryRow> = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	source: string(),
	position: number(),
	sequence: number(),
	event_id: string(),
	time: number(),
	user_id: DataTypes.BIGINT,
	action: string(),
	object_type: string(),
	object_id: DataTypes.STRING,
	outcome: string(),
	error: DataTypes.STRING,
	request_id: string(),
	trace_id: string(),
	details: { type: DataTypes.TEXT, allowNull: false },
	hash: string()
};

const options: ModelOptions<Model<AuditEntryRow, AuditEntryCreation>> = {
	tableName: "audit_entries",
	timestamps: false
};

/** Audit entries, as the DB mixin takes them. */
export const auditEntryModel = { name: "auditEntry", define, options };
