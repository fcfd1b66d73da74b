// Owner: the letter service.
import { DataTypes, type Model, type ModelAttributes, type ModelOptions } from "sequelize";

/** What there is to know about a row of `outbox` from outside; mixins/outbox does the rest. */
export interface OutboxRow {
	id: number;
	subject: string;
}

const define: ModelAttributes<Model<OutboxRow, OutboxRow>, OutboxRow> = {
	id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
	subject: { type: DataTypes.STRING, allowNull: false }
};

const options: ModelOptions<Model<OutboxRow, OutboxRow>> = { tableName: "outbox", timestamps: false };

/** The outbox as the DB mixin takes it, for a service whose only table it is. */
export const outboxModel = { name: "outbox", define, options };
