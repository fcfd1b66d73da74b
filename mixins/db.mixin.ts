import {
	type ActionSchema,
	type Context,
	Errors,
	type Service,
	type ServiceMethods,
	type ServiceSchema,
	type ServiceSettingSchema
} from "moleculer";
import MoleculerDb, { type DbServiceSettings, type MoleculerDbMethods } from "moleculer-db";
import type { Model, ModelStatic, Sequelize, Transaction } from "sequelize";
import {
	assertMigrateMode,
	type MigrateMode,
	type Migrator,
	type ModelDefinition,
	SharedSequelizeAdapter
} from "./db/adapter.ts";
import type { ConnectionOptions } from "./db/connection.ts";
import { databaseUnavailable, isAway, toActionError } from "./db/errors.ts";
import { assertOneKey, genericActions, keepOwnActions } from "./db/generic-actions.ts";
import { type Statements, statements } from "./db/prepared.ts";
import { SharedTransactions } from "./db/shared-transactions.ts";
import { runInTransaction } from "./db/transaction.ts";
import { assertConditions, assertVisible, parseQuery } from "./db/visible.ts";
import { answers } from "./db/wait.ts";

export type { MigrateMode, Migrator, ModelDefinition } from "./db/adapter.ts";
export type { BeforeEntityHook, EntityHook } from "./db/entity-hooks.ts";
export { type Statements, statements, type Value, type Written } from "./db/prepared.ts";
export type { Statement, StatementEnd, StatementObserver } from "./db/statement.ts";

/** Options of the mixin. */
export interface DbOptions {
	/** The model behind the CRUD actions. */
	model: ModelDefinition;
	/** Further models of the same service, found in `this.models`. */
	models?: ModelDefinition[];
	/** Answers the database URL where `settings.db.url` of the service is not set; called at start. */
	url?: () => string;
	/** Makes the runner of the service's migrations. Without it, migrations are not looked at. */
	migrator?: (sequelize: Sequelize) => Migrator;
	/** Pending migrations are applied at start ("auto", default on SQLite), refused ("check", default on MySQL) or ignored ("off"). */
	migrate?: MigrateMode;
	/** The command that the refusal recommends. Default `npm run db:migrate`. */
	migrateCommand?: string;
	/** Pool size, time-outs, and who sees the statements. */
	connection?: ConnectionOptions;
}

/** The settings that the mixin reads. `db` is never told to other nodes. */
export interface DbSettings extends DbServiceSettings {
	db?: { url?: string };
}

/** What the mixin adds to `this` of a service. */
export interface DbMethods<Models extends object = Record<string, ModelStatic<Model>>> extends MoleculerDbMethods {
	adapter: SharedSequelizeAdapter;
	/** The connection pool, from `started` on. */
	db: Sequelize;
	/** The service's models by name, from `started` on. */
	models: Models;
	/** Prepared statements on the same connections, for what most requests need; from `started` on. */
	statements: Statements;
	/** Runs a function in a transaction, and again after a deadlock. See `runInTransaction`. */
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
	/** The same, in a transaction that callers who come at the same time share. See `SharedTransactions`. */
	together<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
	/** Resolves when the database answers, else throws 503 `DATABASE_UNAVAILABLE`. */
	ready(): Promise<true>;
}

/** `this` in the methods below. */
interface DbService extends DbMethods, Pick<Service, "logger" | "originalSchema"> {
	sharedTransactions: SharedTransactions;
	settings: DbSettings;
	schema: { afterConnected?(): unknown };
}

type Params = Record<string, unknown>;
type Method<Result> = (this: DbService, ctx: Context, params: Params) => Result;

interface BaseSchema extends Partial<ServiceSchema> {
	settings: DbSettings & ServiceSettingSchema;
	methods: {
		sanitizeParams: Method<Params>;
	} & Record<"_create" | "_insert" | "_get" | "_update" | "_remove", Method<Promise<unknown>>>;
}

/**
 * moleculer-db exports a service schema, which its types call a class. Its `started` tries to connect for ever, also
 * when the service has been stopped meanwhile, and its `stopped` belongs to that.
 */
const { started, stopped, ...base } = MoleculerDb as unknown as BaseSchema;

const defaultSettings: DbSettings & ServiceSettingSchema = {
	...base.settings,
	idField: "id",
	$secureSettings: ["db"]
};

function withActionErrors(method: Method<Promise<unknown>>): Method<Promise<unknown>> {
	return async function (ctx, params) {
		try {
			return await method.call(this, ctx, params);
		} catch (error) {
			throw toActionError(error, this.adapter.model);
		}
	};
}

function visibleColumns({ settings, adapter }: DbService): string[] {
	const columns = settings.fields ?? Object.keys(adapter.model.getAttributes());
	return columns.filter(name => !settings.excludeFields?.includes(name));
}

const methods: ServiceMethods & ThisType<DbService> = {
	...base.methods,
	_create: withActionErrors(base.methods._create),
	_insert: withActionErrors(base.methods._insert),
	_get: withActionErrors(base.methods._get),
	_update: withActionErrors(base.methods._update),
	_remove: withActionErrors(base.methods._remove),

	sanitizeParams(ctx: Context, params: Params): Params {
		const query = typeof params.query === "string" ? parseQuery(params.query) : params.query;
		const sanitized = base.methods.sanitizeParams.call(this, ctx, { ...params, query });
		assertVisible(sanitized, visibleColumns(this));
		assertConditions(query);
		return sanitized;
	},

	async connect(): Promise<void> {
		await this.adapter.connect();
		this.db = this.adapter.db;
		this.models = this.adapter.models;
		this.statements = statements(this.db);
		this.sharedTransactions = new SharedTransactions(this.db);
		await this.schema.afterConnected?.call(this);
	},

	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
		return runInTransaction(this.db, work);
	},

	together<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
		return this.sharedTransactions.run(work);
	},

	async ready(): Promise<true> {
		try {
			await answers(this.db);
			return true;
		} catch (error) {
			this.logger.error("The database does not answer:", error);
			throw databaseUnavailable();
		}
	}
};

/**
 * Gives a service its table: the CRUD actions `find, list, count, get, create, insert, update, remove` of moleculer-db
 * and `ready`, all `visibility: "public"`, and the methods of `DbMethods`.
 *
 * The service waits in `started` until its database answers, and `stopped` gives the connection back. An action that
 * the service defines itself replaces the generic one as a whole; `false` takes it away. See mixins/db/README.md.
 *
 * @throws ServiceSchemaError where a generic action finds rows by one id, and the key is of several columns; where `migrate`
 * is no mode
 * @throws MoleculerError `MIGRATIONS_PENDING` at start, in mode "check"
 */
export function DbMixin({
	model,
	models = [],
	url,
	migrateCommand = "npm run db:migrate",
	connection = {},
	...options
}: DbOptions): Partial<ServiceSchema> {
	const schema: Partial<ServiceSchema> & Merging = {
		...base,
		settings: defaultSettings,
		actions: {
			...genericActions,
			ready: {
				visibility: "public",
				handler() {
					return this.ready();
				}
			}
		},
		methods,

		hooks: {
			error: {
				"*"(this: Service, _ctx: Context, error: Error) {
					if (!isAway(error)) throw error;
					this.logger.error("The database does not answer:", error);
					throw databaseUnavailable();
				}
			}
		},

		merged(merged) {
			assertMigrateMode(merged.name, options.migrate);
			const chosenUrl = () => {
				const chosen = merged.settings?.db?.url ?? url?.();
				if (!chosen) throw new Errors.ServiceSchemaError(`Service '${merged.name}' has no database URL`, {});
				return chosen;
			};
			const adapter = new SharedSequelizeAdapter(chosenUrl, { ...options, model, models, migrateCommand, connection });
			Object.assign(merged, { model, adapter });
			keepOwnActions(merged.actions, this.originalSchema);
			assertOneKey(merged, model);
		},

		started() {
			return this.connect();
		},

		stopped() {
			return this.adapter.disconnect();
		}
	};
	return schema;
}

/** Moleculer's hook for a mixin to see the service's schema after all mixins were merged into it. */
interface Merging {
	merged(this: Service, merged: { name: string; settings?: DbSettings; actions: Record<string, ActionSchema> }): void;
}
