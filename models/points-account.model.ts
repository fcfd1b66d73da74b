// Owner: the points service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions } from "sequelize";

/** A row of `accounts`: what a user has, the sum of the user's entries. */
export interface AccountRow {
	user_id: number;
	/** Never negative. */
	balance: number;
}

const define: ModelAttributes<Model<AccountRow>, AccountRow> = {
	user_id: { type: DataTypes.BIGINT, primaryKey: true },
	balance: { type: DataTypes.BIGINT, allowNull: false }
};

const options: ModelOptions<Model<AccountRow>> = { tableName: "accounts", timestamps: false };

/** Accounts, as the DB mixin takes them. */
export const accountModel = { name: "account", define, options };
