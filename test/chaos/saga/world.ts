import { setTimeout as delay } from "node:timers/promises";
import { QueryTypes, type Sequelize, type Transaction, UniqueConstraintError } from "sequelize";
import { acquire } from "../../../mixins/db/connection.ts";
import { runInTransaction } from "../../../mixins/db/transaction.ts";
import type { Database } from "../../../mixins/saga/database.ts";
import { defineSaga } from "../../../mixins/saga/definition.ts";
import type { Branch } from "../../../mixins/saga/engine.ts";
import { createBarrierTable, createSagaListIndex, createSagaTables } from "../../../mixins/saga/migrations.ts";

/** What goes wrong in a saga: it travels in the payload, so that every process knows. */
export interface Fault {
	/** What happens: to a process, to a message, or to a transaction. */
	kind: "kill" | "stop" | "lost" | "answerLost" | "duplicate" | "late" | "hanging" | "open";
	/** Where: a place in the coordinator or the participant, or a branch `<op> <step>`. */
	at: string;
	/** The participant that is killed. */
	victim?: string;
}

/** The payload of a saga of the matrix. */
export interface CellPayload {
	fault: Fault;
	/** The last step refuses, so all that was done is taken back. */
	refuse: boolean;
	/** The first step takes this long, in milliseconds. */
	slow?: number;
}

const names = ["user", "points", "coupon"] as const;
const steps = [
	...names.map(name => ({ name, action: `${name}.do`, compensate: `${name}.undo` })),
	{ name: "check", action: "check.do" }
];
/** Three steps in two databases, and one that may refuse. */
export const chaos = defineSaga<CellPayload>({ name: "chaos", version: 1, steps });
/** The same with a deadline that is over before a lease is. */
export const hurried = defineSaga<CellPayload>({ name: "hurried", version: 1, timeout: 600, steps });

/** Times in milliseconds, short enough that a cell takes a second. */
export const settings = {
	lease: 900,
	callTimeout: 450,
	backoff: { base: 20, cap: 200 },
	ongoingDelay: 50,
	pollInterval: 50,
	batch: 50
};

export const POOL = 1_000_000;

/** Where a step's rows are: users in the database of the sagas, points and coupons in another. */
export interface Databases {
	owner: Database;
	other: Database;
	close(): Promise<void>;
}

export function connect(urls: { owner: string; other: string }): Databases {
	const open = (url: string) => acquire(url, { poolSize: 20 });
	const [owner, other] = [open(urls.owner), open(urls.other)];
	const database = (db: Sequelize): Database => ({ db, transaction: work => runInTransaction(db, work) });
	return {
		owner: database(owner.sequelize),
		other: database(other.sequelize),
		close: async () => void (await Promise.all([owner.release(), other.release()]))
	};
}

export async function createTables({ owner, other }: Databases): Promise<void> {
	const send = (db: Sequelize) => async (statement: string) => void (await db.query(statement));
	await createSagaTables(send(owner.db));
	await createSagaListIndex(send(owner.db));
	for (const { db } of [owner, other]) await createBarrierTable(send(db));
	// No key on purpose: what is done twice shall be there twice.
	for (const [name, { db }] of [
		["user", owner],
		["points", other],
		["coupon", other]
	] as const)
		await db.query(`CREATE TABLE ledger_${name} (gid VARCHAR(64) NOT NULL, amount INTEGER NOT NULL)`);
	await other.db.query("CREATE TABLE pool (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)");
	await other.db.query(`INSERT INTO pool VALUES (1, ${POOL})`);
	await owner.db.query("CREATE TABLE fired (gid VARCHAR(64) PRIMARY KEY)");
	await owner.db.query(
		"CREATE TABLE late (gid VARCHAR(64) NOT NULL, action VARCHAR(64) NOT NULL, branch TEXT NOT NULL)"
	);
	await owner.db.query(
		"CREATE TABLE history (gid VARCHAR(64) NOT NULL, epoch INTEGER NOT NULL, writer INTEGER NOT NULL, what VARCHAR(64) NOT NULL)"
	);
}

/** Whether a saga's fault strikes now. It strikes once, in whichever process is there first. */
export async function fires({ owner }: Databases, gid: string): Promise<boolean> {
	try {
		await owner.db.query("INSERT INTO fired VALUES ($gid)", { bind: { gid } });
		return true;
	} catch (error) {
		if (error instanceof UniqueConstraintError) return false;
		throw error;
	}
}

export async function hasFired({ owner }: Databases, gid: string): Promise<boolean> {
	const rows = await owner.db.query("SELECT gid FROM fired WHERE gid = $gid", {
		type: QueryTypes.SELECT,
		bind: { gid }
	});
	return rows.length > 0;
}

/** What a step does, and with `sign` -1 takes back: the user in one database, points out of a pool in the other. */
export async function change(
	{ owner, other }: Databases,
	{ gid, step }: Branch,
	sign: 1 | -1,
	transaction: Transaction
) {
	const amount = sign * (step === "points" ? 10 : 1);
	const { db } = step === "user" ? owner : other;
	await db.query(`INSERT INTO ledger_${step} VALUES ($gid, $amount)`, { transaction, bind: { gid, amount } });
	if (step === "points")
		await db.query("UPDATE pool SET balance = balance - $amount WHERE id = 1", { transaction, bind: { amount } });
}

/** Strikes this process. A process that was stopped goes on here when it is resumed. */
export async function strike(kind: "kill" | "stop"): Promise<void> {
	process.kill(process.pid, kind === "kill" ? "SIGKILL" : "SIGSTOP");
	// The signal comes as soon as the process yields.
	await delay(20);
}
