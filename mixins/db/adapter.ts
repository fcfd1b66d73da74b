import { setTimeout as delay } from "node:timers/promises";
import { Errors, type Service } from "moleculer";
import SequelizeDbAdapter from "moleculer-db-adapter-sequelize";
import {
	type BulkCreateOptions,
	DataTypes,
	type Model,
	type ModelAttributes,
	type ModelOptions,
	type ModelStatic,
	type Sequelize,
	type WhereOptions
} from "sequelize";
import { acquire, CLOSE_TIMEOUT_MS, type ConnectionOptions, type SharedConnection } from "./connection.ts";
import { withoutPassword } from "./mysql-url.ts";
import { untilReachable } from "./wait.ts";

/** A model as moleculer-db-adapter-sequelize takes it: the arguments of `sequelize.define`. */
export interface ModelDefinition {
	name: string;
	define: ModelAttributes;
	options?: ModelOptions;
}

/** Runs the migrations of one service. */
export interface Migrator {
	/** The names of the migrations that have not been applied. */
	pending(): Promise<string[]>;
	/** Applies them and answers their names. */
	up(): Promise<string[]>;
}

const MIGRATE_MODES = ["auto", "check", "off"] as const;

/** What to do about pending migrations at start: apply them, refuse to start, or not look. */
export type MigrateMode = (typeof MIGRATE_MODES)[number];

/** What the adapter needs to know; see `DbOptions` of the mixin. */
export interface AdapterOptions {
	model: ModelDefinition;
	models: ModelDefinition[];
	migrator?: (sequelize: Sequelize) => Migrator;
	migrate?: MigrateMode;
	migrateCommand: string;
	connection: ConnectionOptions;
}

/**
 * Refuses a mode of migrations that there is none of, as JavaScript or a configuration may give it.
 * @throws ServiceSchemaError that names the modes
 */
export function assertMigrateMode(service: string, mode: MigrateMode | undefined): void {
	if (mode === undefined || MIGRATE_MODES.includes(mode)) return;
	const message = `Service '${service}': 'migrate' must be one of: ${MIGRATE_MODES.join(", ")}, not '${mode}'`;
	throw new Errors.ServiceSchemaError(message, {});
}

type NewRow = Record<string, unknown>;
type Owner = Service & { model?: ModelStatic<Model> };

/** What is overridden here, with the null that the package's code answers and its types leave out. */
interface Overridden {
	db: Sequelize;
	model: ModelStatic<Model>;
	init(...args: Parameters<SequelizeDbAdapter["init"]>): void;
	connect(): Promise<void>;
	disconnect(): Promise<void>;
	findById(id: unknown): Promise<Model | null>;
	findByIds(ids: unknown[]): Promise<Model[]>;
	insert(row: NewRow): Promise<Model>;
	insertMany(rows: NewRow[]): Promise<Model[]>;
	removeById(id: unknown): Promise<Model | null>;
}

const BaseAdapter = SequelizeDbAdapter as unknown as new (
	options: object
) => Overridden & Omit<SequelizeDbAdapter, keyof Overridden>;

/** A key of the table, or undefined when the value cannot be one. */
type Key = string | number | undefined;

function toKey(model: ModelStatic<Model>, id: unknown): Key {
	const type = model.rawAttributes[model.primaryKeyAttribute]?.type;
	const isNumber = type instanceof DataTypes.INTEGER || type instanceof DataTypes.BIGINT;
	if (!isNumber) return typeof id === "string" ? id : undefined;
	const number = typeof id === "string" && /^\d{1,16}$/.test(id) ? Number(id) : id;
	return Number.isSafeInteger(number) ? (number as number) : undefined;
}

/** Sequelize writes into the attributes it is given; two connections must not share them. */
function copyOf(define: ModelAttributes): ModelAttributes {
	return Object.fromEntries(
		Object.entries(define).map(([name, attribute]) => [
			name,
			typeof attribute === "object" && "type" in attribute ? { ...attribute } : attribute
		])
	);
}

const migrating = new WeakMap<Sequelize, Promise<unknown>>();

/** Services of one database start at once, and the migrations of most tools must not run beside each other. */
function oneAfterAnother<T>(sequelize: Sequelize, migrate: () => Promise<T>): Promise<T> {
	const turn = (migrating.get(sequelize) ?? Promise.resolve()).then(migrate);
	migrating.set(
		sequelize,
		turn.catch(() => {})
	);
	return turn;
}

/**
 * moleculer-db's adapter for Sequelize on a shared connection pool, without `sync()`, with the start that waits, and
 * with the keys checked: MySQL compares `id = '12abc'` as numbers and would find row 12.
 */
export class SharedSequelizeAdapter extends BaseAdapter {
	declare db: Sequelize;
	declare model: ModelStatic<Model>;
	models: Record<string, ModelStatic<Model>> = {};

	readonly #options: AdapterOptions;
	readonly #url: () => string;
	#stopping = new AbortController();
	#migration?: Promise<void>;
	#owner!: Owner;
	#connection?: SharedConnection;

	constructor(url: () => string, options: AdapterOptions) {
		super({});
		this.#url = url;
		this.#options = options;
	}

	override init(...[broker, service]: Parameters<SequelizeDbAdapter["init"]>): void {
		super.init(broker, service);
		this.#owner = service;
	}

	/** Waits for the database, sees to the migrations and defines the models. */
	override async connect(): Promise<void> {
		const { logger } = this.#owner;
		const url = this.#url();
		const name = withoutPassword(url);
		this.#connection = acquire(url, { logger, ...this.#options.connection });
		this.db = this.#connection.sequelize;
		this.#stopping = new AbortController();
		const { signal } = this.#stopping;
		try {
			await untilReachable(this.db, { name, logger, signal });
			this.#migration = this.#migrate(name, signal);
			await this.#migration;
			signal.throwIfAborted();
			this.#connection.limitSilence();
		} catch (error) {
			await this.disconnect();
			throw error;
		}
		this.#defineModels();
		logger.info(`Connected to database ${name}.`);
	}

	/** Gives the connection back; a `connect` that is still waiting is rejected, one that migrates ends that first. */
	override async disconnect(): Promise<void> {
		this.#stopping.abort(new Errors.MoleculerError("The service was stopped", 503, "SERVICE_STOPPED"));
		const timeout = this.#options.connection.closeTimeout ?? CLOSE_TIMEOUT_MS;
		// A migration that fails is told of by `connect`.
		await Promise.race([this.#migration?.catch(() => {}), delay(timeout, undefined, { ref: false })]);
		await this.#connection?.release();
	}

	override async findById(id: unknown): Promise<Model | null> {
		const key = toKey(this.model, id);
		return key === undefined ? null : this.model.findByPk(key);
	}

	override async findByIds(ids: unknown[]): Promise<Model[]> {
		const keys = ids.map(id => toKey(this.model, id)).filter(key => key !== undefined);
		return this.model.findAll({ where: this.#whereKey(keys) });
	}

	/** Adds a row. */
	override async insert(row: NewRow): Promise<Model> {
		return this.#whole(await super.insert(row));
	}

	/** Adds rows, all or none. The model's rules hold for each of them, which Sequelize leaves out unless it is told. */
	override async insertMany(rows: NewRow[]): Promise<Model[]> {
		const { _timestampAttributes } = this.model as unknown as { _timestampAttributes: Record<string, string> };
		// Here Sequelize fills the times in only after it has looked at the rules.
		const skip = Object.values(_timestampAttributes);
		const options: BulkCreateOptions & { skip: string[] } = { validate: true, skip, returning: true };
		return (await this.model.bulkCreate(rows, options)).map(row => this.#whole(row));
	}

	/** Removes a row and answers it, or null when there was none, also when somebody else was faster. */
	override async removeById(id: unknown): Promise<Model | null> {
		const row = await this.findById(id);
		if (!row) return null;
		const removed = await this.model.destroy({
			where: this.#whereKey(row.get(this.model.primaryKeyAttribute)),
			individualHooks: true
		});
		return removed > 0 ? row : null;
	}

	/** A new row with every column: one that was not given a value is null, as it will be when it is read. */
	#whole(row: Model): Model {
		for (const name of Object.keys(this.model.getAttributes()))
			if (row.getDataValue(name) === undefined) row.set(name, null, { raw: true });
		return row;
	}

	#whereKey(key: unknown): WhereOptions {
		return { [this.model.primaryKeyAttribute]: key } as WhereOptions;
	}

	async #migrate(name: string, signal: AbortSignal): Promise<void> {
		const { migrator, migrateCommand } = this.#options;
		const mode = this.#options.migrate ?? (this.db.getDialect() === "sqlite" ? "auto" : "check");
		if (!migrator || mode === "off") return;

		signal.throwIfAborted();
		const migrations = migrator(this.db);
		if (mode === "auto") {
			const applied = await oneAfterAnother(this.db, async () => {
				signal.throwIfAborted();
				return migrations.up();
			});
			if (applied.length > 0) this.#owner.logger.info(`Migrations applied to ${name}: ${applied.join(", ")}.`);
			return;
		}
		const pending = await migrations.pending();
		if (pending.length > 0)
			throw new Errors.MoleculerError(
				`Database ${name} of service '${this.#owner.fullName}' lacks ${pending.length} migration(s): ` +
					`${pending.join(", ")}. Run \`${migrateCommand}\` and start again.`,
				500,
				"MIGRATIONS_PENDING",
				{ pending }
			);
	}

	#defineModels(): void {
		const { model, models } = this.#options;
		for (const { name, define, options } of [model, ...models])
			this.models[name] = this.db.define(name, copyOf(define), { ...options });
		this.model = this.models[model.name] as ModelStatic<Model>;
		this.#owner.model = this.model;
	}
}
