import type {
	ModelAttributeColumnOptions,
	ModelAttributes,
	QueryInterface,
	QueryInterfaceCreateTableOptions,
	Sequelize,
	Transaction
} from "sequelize";

/** Tables whose text is compared byte by byte and holds every character. */
const tableOptions: QueryInterfaceCreateTableOptions = { engine: "InnoDB", charset: "utf8mb4", collate: "utf8mb4_bin" };

interface Index {
	name: string;
	fields: string[];
	unique?: boolean;
}

type Column = ModelAttributeColumnOptions;

/**
 * What a migration may do to a database. Everything runs in the migration's transaction and is remembered, so that a
 * failure can tell how far it got.
 */
export class Schema {
	/** The column types of both dialects. */
	readonly types: ColumnTypes;
	/** The statements sent so far. */
	readonly statements: string[] = [];

	readonly #sequelize: Sequelize;
	readonly #queryInterface: QueryInterface;
	readonly #options: { transaction: Transaction; logging: (sql: string) => void };

	constructor(sequelize: Sequelize, transaction: Transaction) {
		this.#sequelize = sequelize;
		this.#queryInterface = sequelize.getQueryInterface();
		this.#options = {
			transaction,
			logging: sql => this.statements.push(sql.replace(/^Executing \([^)]*\): /, ""))
		};
		this.types = new ColumnTypes(sequelize.getDialect() === "mysql");
	}

	/** Creates a table and its indexes. */
	async createTable(table: string, columns: ModelAttributes, indexes: Index[] = []): Promise<void> {
		await this.#queryInterface.createTable(table, columns, { ...tableOptions, ...this.#options });
		for (const index of indexes) await this.addIndex(table, index);
	}

	/** Drops a table and its indexes. */
	async dropTable(table: string): Promise<void> {
		await this.#queryInterface.dropTable(table, this.#options);
	}

	/** Adds a column. */
	async addColumn(table: string, name: string, column: Column): Promise<void> {
		await this.#queryInterface.addColumn(table, name, column, this.#options);
	}

	/** Drops a column. */
	async removeColumn(table: string, name: string): Promise<void> {
		await this.query(`ALTER TABLE \`${table}\` DROP COLUMN \`${name}\``);
	}

	/** Adds an index. */
	async addIndex(table: string, { name, fields, unique = false }: Index): Promise<void> {
		await this.#queryInterface.addIndex(table, fields, { name, unique, ...this.#options });
	}

	/** Drops an index. */
	async removeIndex(table: string, name: string): Promise<void> {
		await this.#queryInterface.removeIndex(table, name, this.#options);
	}

	/** Sends any other statement. */
	async query(sql: string): Promise<void> {
		await this.#sequelize.query(sql, this.#options);
	}
}

/** Column types under one name for MySQL and SQLite. None allows NULL unless the column says so. */
class ColumnTypes {
	readonly #mysql: boolean;

	constructor(mysql: boolean) {
		this.#mysql = mysql;
	}

	/** A number that the database counts up and never gives twice, as primary key. */
	id(): Column {
		return { type: this.#mysql ? "BIGINT UNSIGNED" : "BIGINT", primaryKey: true, autoIncrement: true };
	}

	/** The `id` of another row. */
	reference(): Column {
		return this.#column(this.#mysql ? "BIGINT UNSIGNED" : "BIGINT");
	}

	/** A whole number. */
	integer(): Column {
		return this.#column("INTEGER");
	}

	/** A whole number of up to 63 bits: a count, a version, milliseconds since the epoch. */
	bigInteger(): Column {
		return this.#column("BIGINT");
	}

	/** Text of at most `length` characters. */
	text(length: number): Column {
		return this.#column(`VARCHAR(${length})`);
	}

	/** Text of ASCII characters, at most `length`. */
	ascii(length: number): Column {
		return this.#column(this.#ascii(`VARCHAR(${length})`));
	}

	/** Text of exactly `length` ASCII characters. */
	fixedAscii(length: number): Column {
		return this.#column(this.#ascii(`CHAR(${length})`));
	}

	/** Text of at most 65 535 bytes. */
	longText(): Column {
		return this.#column("TEXT");
	}

	/** Text of at most 16 MB. */
	mediumText(): Column {
		return this.#column(this.#mysql ? "MEDIUMTEXT" : "TEXT");
	}

	/** A moment to the millisecond, in UTC. */
	time(): Column {
		return this.#column("DATETIME(3)");
	}

	#ascii(type: string): string {
		return this.#mysql ? `${type} CHARACTER SET ascii COLLATE ascii_bin` : type;
	}

	#column(type: string): Column {
		return { type, allowNull: false };
	}
}
