import type { Service, ServiceSchema } from "moleculer";
import { DataTypes, type Model, type ModelStatic, type Optional, type Sequelize } from "sequelize";
import { type DbMethods, DbMixin, type DbOptions, type DbSettings } from "../../mixins/db.mixin.ts";

/** A row of the table that the tests of the DB mixin use. */
export interface ThingRow {
	id: number;
	name: string;
	secret: string;
	count: number;
	made_at: Date | null;
}

export type ThingCreation = Optional<ThingRow, "id" | "secret" | "count" | "made_at">;
export type ThingModel = ModelStatic<Model<ThingRow, ThingCreation>>;

/** A service on that table, as its methods and tests see it. */
export type ThingService = Service & DbMethods<{ thing: ThingModel }>;

export const thingModel = {
	name: "thing",
	define: {
		id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
		name: { type: DataTypes.STRING(100), allowNull: false, unique: "things_name" },
		secret: { type: DataTypes.STRING(100), allowNull: false, defaultValue: "" },
		count: { type: DataTypes.INTEGER, allowNull: false, defaultValue: 0 },
		made_at: { type: DataTypes.DATE(3), allowNull: true }
	},
	options: { tableName: "things", timestamps: false }
};

async function createTable(sequelize: Sequelize): Promise<string[]> {
	const queryInterface = sequelize.getQueryInterface();
	if (await queryInterface.tableExists("things")) return [];
	await queryInterface.createTable("things", thingModel.define, { charset: "utf8mb4", collate: "utf8mb4_bin" });
	await queryInterface.addIndex("things", ["name"], { unique: true, name: "things_name" });
	return ["create-things"];
}

/** A service `thing` with the DB mixin on a database, which gets its table at start. */
export function thingService(
	url: string,
	schema: Partial<ServiceSchema> & { settings?: DbSettings } = {},
	options: Partial<DbOptions> = {}
): ServiceSchema {
	const migrator = (sequelize: Sequelize) => ({ pending: async () => [], up: () => createTable(sequelize) });
	return {
		name: "thing",
		...schema,
		mixins: [DbMixin({ model: thingModel, url: () => url, migrator, migrate: "auto", ...options })]
	};
}
