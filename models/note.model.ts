// Owner: the note service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions, type Optional } from "sequelize";

/** A row of `notes`. */
export interface NoteRow {
	/** Never given twice, also not after the row was deleted. */
	id: number;
	user_id: number;
	title: string;
	content: string;
	/** Title and content in the form that the search compares. */
	title_folded: string;
	content_folded: string;
	/** 1 for a new note, one more with each change. */
	version: number;
	created_at: Date;
	updated_at: Date;
	/** When the note was deleted. Sequelize leaves such rows out of every query without `paranoid: false`. */
	deleted_at: Date | null;
}

/** What a new row needs. */
export type NoteCreation = Optional<NoteRow, "id" | "version" | "created_at" | "updated_at" | "deleted_at">;

const define: ModelAttributes<Model<NoteRow, NoteCreation>, NoteRow> = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	user_id: { type: DataTypes.BIGINT, allowNull: false },
	title: { type: DataTypes.STRING(128), allowNull: false },
	content: { type: DataTypes.TEXT, allowNull: false },
	title_folded: { type: DataTypes.STRING(512), allowNull: false },
	content_folded: { type: DataTypes.TEXT, allowNull: false },
	version: { type: DataTypes.INTEGER, allowNull: false, defaultValue: 1 },
	created_at: DataTypes.DATE(3),
	updated_at: DataTypes.DATE(3),
	deleted_at: { type: DataTypes.DATE(3), allowNull: true }
};

const options: ModelOptions<Model<NoteRow, NoteCreation>> = {
	tableName: "notes",
	createdAt: "created_at",
	updatedAt: "updated_at",
	deletedAt: "deleted_at",
	paranoid: true
};

/** Notes, as the DB mixin takes them. */
export const noteModel = { name: "note", define, options };
