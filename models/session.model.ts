// Owner: the user service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions, type Optional } from "sequelize";

/** A row of `sessions`: one login, which lives on through its refresh tokens. */
export interface SessionRow {
	/** 22 characters of base64url: 128 random bits. */
	id: string;
	user_id: number;
	/** SHA-256 of the refresh token that is valid now, in hexadecimal. */
	token_hash: string;
	created_at: Date;
	expires_at: Date;
	/** When the session was ended before its time. */
	revoked_at: Date | null;
}

/** What a new row needs. */
export type SessionCreation = Optional<SessionRow, "created_at" | "revoked_at">;

const define: ModelAttributes<Model<SessionRow, SessionCreation>, SessionRow> = {
	id: { type: DataTypes.CHAR(22), primaryKey: true },
	user_id: { type: DataTypes.BIGINT, allowNull: false },
	token_hash: { type: DataTypes.CHAR(64), allowNull: false },
	created_at: DataTypes.DATE(3),
	expires_at: { type: DataTypes.DATE(3), allowNull: false },
	revoked_at: { type: DataTypes.DATE(3), allowNull: true }
};

const options: ModelOptions<Model<SessionRow, SessionCreation>> = {
	tableName: "sessions",
	createdAt: "created_at",
	updatedAt: false
};

/** Sessions, as the DB mixin takes them. */
export const sessionModel = { name: "session", define, options };
