import { existsSync, readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { QueryTypes, type Sequelize, type Transaction } from "sequelize";
import type { Umzug, UmzugStorage } from "umzug";
import { MigrationError } from "./migration-error.ts";
import { exclusively } from "./migration-lock.ts";
import { Schema } from "./schema.ts";

const MIGRATIONS = join(import.meta.dirname, "migrations");

/** A migration file makes one change, and `down` takes it back. The files are applied in the order of their names. */
interface MigrationFile {
	up(schema: Schema): Promise<void>;
	down(schema: Schema): Promise<void>;
}

/** Which database, which service's migrations. */
interface Target {
	sequelize: Sequelize;
	service: string;
	folder: string;
}

/** What umzug hands to migrations and storage. */
interface Step {
	schema?: Schema;
	transaction?: Transaction;
}

type Direction = "up" | "down";

/** The services that have migrations: a folder each. What a file manager leaves beside them is none. */
export function migratedServices(folder = MIGRATIONS): string[] {
	const entries = readdirSync(folder, { withFileTypes: true });
	return entries
		.filter(entry => entry.isDirectory())
		.map(({ name }) => name)
		.sort();
}

/** Makes the migration runner of a service, as the DB mixin's option `migrator` takes it. */
export function migratorOf(service: string) {
	return (sequelize: Sequelize) => ({
		pending: () => pending(sequelize, service),
		up: () => migrate(sequelize, service)
	});
}

/** The names of the service's migrations that have not been applied, in order. Changes nothing. */
export async function pending(sequelize: Sequelize, service: string, folder = folderOf(service)): Promise<string[]> {
	const recorded = await storageIn(sequelize, service).executed({ context: {} });
	return namesIn(service, folder).filter(name => !recorded.includes(name));
}

/** The names of the service's migrations that have been applied, in order. Changes nothing. */
export async function applied(sequelize: Sequelize, service: string, folder = folderOf(service)): Promise<string[]> {
	const recorded = await storageIn(sequelize, service).executed({ context: {} });
	return namesIn(service, folder).filter(name => recorded.includes(name));
}

/**
 * Applies the pending migrations of a service, each in a transaction of its own together with the note that it was
 * applied. While another process migrates the same service, this one waits.
 *
 * @param folder where the migrations are; by default `models/migrations/<service>`
 * @returns the names of the migrations applied by this call
 * @throws MigrationError for the first that fails; those before it stay applied
 */
export async function migrate(sequelize: Sequelize, service: string, folder = folderOf(service)): Promise<string[]> {
	// The usual case, and without loading umzug: that takes longer than all of our own code.
	if ((await pending(sequelize, service, folder)).length === 0) return [];
	return repeat("up", Number.POSITIVE_INFINITY, { sequelize, service, folder });
}

/**
 * Takes back the last migrations of a service, in the same way.
 *
 * @param count how many at most
 * @returns the names of the migrations taken back by this call
 * @throws MigrationError for the first that fails; those before it stay taken back
 */
export function rollback(
	sequelize: Sequelize,
	service: string,
	count = 1,
	folder = folderOf(service)
): Promise<string[]> {
	return repeat("down", count, { sequelize, service, folder });
}

async function repeat(direction: Direction, count: number, target: Target): Promise<string[]> {
	const finished: string[] = [];
	while (finished.length < count) {
		const name = await step(direction, target, finished);
		if (name === undefined) break;
		finished.push(name);
	}
	return finished;
}

/** Finds the next migration and runs it, both under the lock: another process may have been faster. */
async function step(direction: Direction, target: Target, finished: string[]): Promise<string | undefined> {
	const { sequelize, service } = target;
	let statements: string[] = [];
	const { MigrationError: UmzugError } = await import("umzug");
	try {
		return await exclusively(sequelize, service, async transaction => {
			const schema = new Schema(sequelize, transaction);
			statements = schema.statements;
			const runner = await umzug(target, { schema, transaction });
			if (direction === "down") await assertKnown(runner, target);
			else await assertOwn(target);
			const [migration] = await runner[direction]({ step: 1 });
			return migration?.name;
		});
	} catch (error) {
		if (!(error instanceof UmzugError)) throw error;
		const { name: migration } = error.migration;
		const undone = sequelize.getDialect() === "sqlite";
		throw new MigrationError({ service, direction, migration, finished, statements, undone, cause: error.cause });
	}
}

/** A newer release may have been here: what it applied last has to be taken back first, and only it knows how. */
async function assertKnown(runner: Umzug<Step>, { sequelize, service }: Target): Promise<void> {
	const known = await runner.executed();
	const recorded = await storageIn(sequelize, service).executed({ context: {} });
	const last = recorded.at(-1);
	if (last !== known.at(-1)?.name)
		throw new Error(`Migration '${last}' of service '${service}' was applied, but its file is not here`);
}

/** Services have tables of the same names, like `outbox`, and so a database each. */
async function assertOwn({ sequelize, service }: Target): Promise<void> {
	for (const other of migratedServices())
		if (other !== service && (await sequelize.getQueryInterface().tableExists(journalOf(other))))
			throw new Error(`The database of service '${service}' is that of service '${other}'; each needs its own`);
}

/** The names of a service's migrations, in order. */
function namesIn(service: string, folder: string): string[] {
	if (!existsSync(folder)) throw new Error(`Service '${service}' has no migrations: there is no folder ${folder}`);
	const files = readdirSync(folder).filter(file => file.endsWith(".ts"));
	return files.map(file => basename(file, extname(file))).sort();
}

async function umzug({ sequelize, service, folder }: Target, context: Step): Promise<Umzug<Step>> {
	const { Umzug } = await import("umzug");
	return new Umzug<Step>({
		migrations: {
			glob: ["*.ts", { cwd: folder }],
			resolve: ({ name, path = "" }) => {
				const load = (): Promise<MigrationFile> => import(pathToFileURL(path).href);
				return {
					// Without extension: compiled to .js, a migration is still the same one.
					name: basename(name, extname(name)),
					up: async () => (await load()).up(context.schema as Schema),
					down: async () => (await load()).down(context.schema as Schema)
				};
			}
		},
		context,
		storage: storageIn(sequelize, service),
		logger: undefined
	});
}

/** Keeps the names of the applied migrations in a table of the database that they change. */
function storageIn(sequelize: Sequelize, service: string): UmzugStorage<Step> {
	const table = journalOf(service);
	const queryInterface = sequelize.getQueryInterface();
	return {
		async executed({ context: { transaction } }) {
			if (!(await queryInterface.tableExists(table, { transaction }))) return [];
			const options = { transaction, type: QueryTypes.SELECT } as const;
			const rows = await sequelize.query<{ name: string }>(`SELECT name FROM \`${table}\` ORDER BY name`, options);
			return rows.map(({ name }) => name);
		},
		async logMigration({ name, context: { transaction } }) {
			await sequelize.query(
				`CREATE TABLE IF NOT EXISTS \`${table}\` (name VARCHAR(255) PRIMARY KEY, applied_at DATETIME(3) NOT NULL)`,
				{ transaction }
			);
			await queryInterface.bulkInsert(table, [{ name, applied_at: new Date() }], { transaction });
		},
		async unlogMigration({ name, context: { transaction } }) {
			await queryInterface.bulkDelete(table, { name }, { transaction });
		}
	};
}

function journalOf(service: string): string {
	return `${service}_migrations`;
}

function folderOf(service: string): string {
	return join(MIGRATIONS, service);
}
