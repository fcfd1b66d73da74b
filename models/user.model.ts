// Owner: the user service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions, type Optional } from "sequelize";

/** A row of `users`. */
export interface UserRow {
	id: number;
	/** The name as its owner wrote it, 1-128 characters. */
	username: string;
	/** The name in the form that decides whether two names are the same; unique. */
	username_key: string;
	password_hash: string;
	role: "user" | "admin";
	/** Address of a picture, or "". */
	avatar: string;
	/** PENDING until the registration is complete. Sequelize leaves such rows out of every query that is not `unscoped`. */
	status: "PENDING" | "ACTIVE";
	created_at: Date;
	updated_at: Date;
}

/** What a new row needs. */
export type UserCreation = Optional<UserRow, "id" | "role" | "avatar" | "status" | "created_at" | "updated_at">;

const define: ModelAttributes<Model<UserRow, UserCreation>, UserRow> = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	username: { type: DataTypes.STRING(128), allowNull: false },
	username_key: { type: DataTypes.STRING(512), allowNull: false, unique: "users_username_key" },
	password_hash: { type: DataTypes.STRING(255), allowNull: false },
	role: { type: DataTypes.STRING(16), allowNull: false, defaultValue: "user" },
	avatar: { type: DataTypes.STRING(255), allowNull: false, defaultValue: "" },
	status: { type: DataTypes.STRING(16), allowNull: false, defaultValue: "ACTIVE" },
	created_at: DataTypes.DATE(3),
	updated_at: DataTypes.DATE(3)
};

const options: ModelOptions<Model<UserRow, UserCreation>> = {
	tableName: "users",
	defaultScope: { where: { status: "ACTIVE" } },
	createdAt: "created_at",
	updatedAt: "updated_at"
};

/** Users, as the DB mixin takes them. */
export const userModel = { name: "user", define, options };
