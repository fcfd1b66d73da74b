import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { QueryTypes } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { runInTransaction } from "../../mixins/db/transaction.ts";
import type { Database } from "../../mixins/saga/database.ts";
import { Definitions, defineSaga, type Saga } from "../../mixins/saga/definition.ts";
import { type Branch, type Fact, SagaEngine } from "../../mixins/saga/engine.ts";
import { createBarrierTable, createSagaListIndex, createSagaTables } from "../../mixins/saga/migrations.ts";
import { defaults, type SagaSettings, Sagas } from "../../mixins/saga/sagas.ts";
import { sagaStore } from "../../mixins/saga/store.ts";
import { quiet } from "./app.ts";
import type { TestDatabases } from "./databases.ts";

/** A database and what has to end before it is closed: node:test runs the hooks of a test in the order they came. */
export interface TestDatabase extends Database {
	users: (() => Promise<void>)[];
}

/** Opens an empty database with the tables of sagas and barriers, for the duration of a test. */
export async function sagaDatabase(t: Pick<TestContext, "after">, databases: TestDatabases): Promise<TestDatabase> {
	const { sequelize: db, release } = acquire(await databases.create());
	const users: (() => Promise<void>)[] = [];
	t.after(async () => {
		for (const stop of users) await stop();
		await release();
	});
	const send = async (statement: string) => void (await db.query(statement));
	await createSagaTables(send);
	await createSagaListIndex(send);
	await createBarrierTable(send);
	return { db, users, transaction: work => runInTransaction(db, work) };
}

/** A saga with two steps that can be taken back, and one that can not. */
export const trip = defineSaga({
	name: "trip",
	version: 1,
	steps: [
		{ name: "hotel", action: "hotel.book", compensate: "hotel.cancel" },
		{ name: "car", action: "car.rent", compensate: "car.return" },
		{ name: "mail", action: "mail.send" }
	]
});

/** A saga that can be taken back as a whole, and whose payload has a secret. */
export const paidTrip = defineSaga<{ who: string; card?: string }>({
	name: "trip",
	version: 1,
	secret: ["card"],
	steps: [
		{ name: "hotel", action: "hotel.book", compensate: "hotel.cancel" },
		{ name: "car", action: "car.rent", compensate: "car.return" }
	]
});

/** Participants of `paidTrip`; those named answer with an error. */
export const participants = (broken: Record<string, Error> = {}) =>
	Object.fromEntries(
		["hotel.book", "hotel.cancel", "car.rent", "car.return"].map(name => [
			name,
			() => {
				if (broken[name]) throw broken[name];
				return null;
			}
		])
	);

/** A participant that always fails. */
export const fails = (error: unknown) => (): never => {
	throw error;
};

/** What a participant answers; a function of the call, or one answer after the other, the last one for ever. */
export type Answers = Record<string, (branch: Branch, params: object) => unknown>;

/** Settings that make a test quick. */
export const quick: Partial<SagaSettings> = {
	lease: 2_000,
	callTimeout: 500,
	backoff: { base: 1, cap: 4 },
	ongoingDelay: 20,
	pollInterval: 20
};

/** One coordinator's engine, with functions for participants. */
export function testEngine(
	database: Database,
	definitions: readonly Saga[],
	answers: Answers,
	settings: Partial<SagaSettings> = {}
) {
	const facts: Fact[] = [];
	const calls: string[] = [];
	const store = sagaStore(database);
	const engine = new SagaEngine({
		store,
		definitions: new Definitions(definitions),
		owner: `engine-${Math.random()}`,
		options: { ...defaults, ...quick, ...settings },
		tell: fact => facts.push(fact),
		async call(action, params, branch) {
			calls.push(action);
			return answers[action]?.(branch, params) ?? null;
		}
	});
	const begin = async (definition: Saga, gid: string, payload: object = {}) => {
		const { saga } = await engine.submit(definition, { gid, payload, traceparent: null });
		return saga;
	};
	/** Drives a saga to its end, through every pause. */
	const finish = async (gid: string) => {
		for (;;) {
			const saga = await store.find(gid);
			if (!saga || saga.finishedAt) return saga;
			const mine = await engine.claim(saga);
			if (mine) await engine.drive(mine);
			else await delay(5);
		}
	};
	return { engine, store, facts, calls, begin, finish };
}

/** Sagas on a broker of their own, with services for participants. */
export async function testSagas(
	database: TestDatabase,
	{
		definitions,
		actions,
		settings,
		broker: options
	}: {
		definitions: readonly Saga[];
		actions: Record<string, (ctx: { params: object; meta: { saga?: Branch } }) => unknown>;
		settings?: Partial<SagaSettings>;
		broker?: object;
	}
) {
	const broker = new ServiceBroker(quiet({ nodeID: `sagas-${Math.random()}`, ...options }));
	const services = Object.groupBy(Object.entries(actions), ([name]) => name.split(".")[0] as string);
	for (const [name, entries = []] of Object.entries(services))
		broker.createService({
			name,
			actions: Object.fromEntries(entries.map(([action, handler]) => [action.slice(name.length + 1), handler as never]))
		});
	const logger = { error: () => {}, warn: () => {} };
	const sagas = new Sagas({ ...database, broker, logger, fullName: "trips" }, definitions, { ...quick, ...settings });
	await broker.start();
	sagas.start();
	database.users.push(async () => {
		await sagas.stop();
		await broker.stop();
	});
	return { broker, sagas };
}

/** Rows of a table as the database has them, but for times. */
export async function rowsOf(database: Database, table: string): Promise<Record<string, unknown>[]> {
	return database.db.query(`SELECT * FROM ${table}`, { type: QueryTypes.SELECT });
}
