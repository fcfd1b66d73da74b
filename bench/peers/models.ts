// The Sequelize side of the Fastify and NestJS peers.
import {
	type CreationOptional,
	DataTypes,
	type InferAttributes,
	type InferCreationAttributes,
	Model,
	Sequelize
} from "sequelize";
import { type Note as Answer, folded, type NoteRow, POOL_SIZE, page, present, required } from "./common.ts";

export class User extends Model<InferAttributes<User>, InferCreationAttributes<User>> {
	declare id: CreationOptional<number>;
	declare username: string;
	declare avatar: string;
}

export class Note extends Model<InferAttributes<Note>, InferCreationAttributes<Note>> {
	declare id: CreationOptional<number>;
	declare user_id: number;
	declare title: string;
	declare content: string;
	declare title_folded: string;
	declare content_folded: string;
	declare version: CreationOptional<number>;
	declare created_at: CreationOptional<Date>;
	declare updated_at: CreationOptional<Date>;
}

/** RAW_ROWS=on reads rows without making instances of the model, which Sequelize's manual names as an optimisation. */
const raw = process.env.RAW_ROWS === "on";
const ATTRIBUTES = ["id", "user_id", "title", "content", "version", "created_at", "updated_at"];

export function connect(): Sequelize {
	const sequelize = new Sequelize(required("DATABASE_URL"), {
		dialect: "mysql",
		logging: false,
		timezone: "+00:00",
		pool: { max: POOL_SIZE }
	});
	User.init(
		{
			id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
			username: DataTypes.STRING(128),
			avatar: DataTypes.STRING(255)
		},
		{ sequelize, tableName: "users", timestamps: false }
	);
	Note.init(
		{
			id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
			user_id: { type: DataTypes.BIGINT, allowNull: false },
			title: { type: DataTypes.STRING(128), allowNull: false },
			content: { type: DataTypes.TEXT, allowNull: false },
			title_folded: { type: DataTypes.STRING(512), allowNull: false },
			content_folded: { type: DataTypes.TEXT, allowNull: false },
			version: { type: DataTypes.INTEGER, allowNull: false, defaultValue: 1 },
			created_at: DataTypes.DATE(3),
			updated_at: DataTypes.DATE(3)
		},
		{
			sequelize,
			tableName: "notes",
			createdAt: "created_at",
			updatedAt: "updated_at",
			deletedAt: "deleted_at",
			paranoid: true
		}
	);
	return sequelize;
}

/** A user's notes, newest first. One author for the page, asked beside it: a join would repeat them in each row. */
export async function query(userId: number, limit: number, offset: number) {
	const [{ count, rows }, author] = await Promise.all([
		Note.findAndCountAll({
			attributes: ATTRIBUTES,
			where: { user_id: userId },
			order: [["id", "DESC"]],
			limit: limit + 1,
			offset,
			raw
		}),
		authorOf(userId)
	]);
	return page(
		count,
		rows.map(row => present(row as NoteRow, author)),
		limit
	);
}

export async function create(userId: number, texts: { title: string; content: string }): Promise<Answer> {
	const [note, author] = await Promise.all([
		Note.create({ user_id: userId, ...texts, ...folded(texts) }),
		authorOf(userId)
	]);
	return present(note as NoteRow, author);
}

async function authorOf(userId: number): Promise<User> {
	return (await User.findByPk(userId, { attributes: ["username", "avatar"], raw })) as User;
}
