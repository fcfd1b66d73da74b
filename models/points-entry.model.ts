// Owner: the points service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions, type Optional } from "sequelize";

/** A row of `entries`, the ledger: one change of one account. Rows are added, never changed. */
export interface EntryRow {
	id: number;
	user_id: number;
	kind: "grant" | "revoke" | "spend";
	/** Negative for what is taken. */
	points: number;
	/** The account's balance after it. */
	balance: number;
	/** What it was for; unique with user and kind, so nothing is booked twice. */
	reference: string;
	created_at: Date;
}

/** What a new row needs. */
export type EntryCreation = Optional<EntryRow, "id" | "created_at">;

const define: ModelAttributes<Model<EntryRow, EntryCreation>, EntryRow> = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	user_id: { type: DataTypes.BIGINT, allowNull: false },
	kind: { type: DataTypes.STRING(16), allowNull: false },
	points: { type: DataTypes.BIGINT, allowNull: false },
	balance: { type: DataTypes.BIGINT, allowNull: false },
	reference: { type: DataTypes.STRING(64), allowNull: false },
	created_at: DataTypes.DATE(3)
};

const options: ModelOptions<Model<EntryRow, EntryCreation>> = {
	tableName: "entries",
	createdAt: "created_at",
	updatedAt: false
};

/** The ledger, as the DB mixin takes it. */
export const entryModel = { name: "entry", define, options };
