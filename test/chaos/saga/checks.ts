import { QueryTypes } from "sequelize";
import type { SagaState } from "../../../mixins/saga/state.ts";
import { type Databases, POOL } from "./world.ts";

/** What a saga's status promises, against what is in the ledgers. @returns the violation, if there is one */
export async function balanceOf(
	{ owner, other }: Databases,
	gid: string,
	status: SagaState["status"] | undefined
): Promise<string[]> {
	const expected = status === "succeed" ? { user: 1, points: 10, coupon: 1 } : { user: 0, points: 0, coupon: 0 };
	const actual = {
		user: await sum(owner.db, "ledger_user", gid),
		points: await sum(other.db, "ledger_points", gid),
		coupon: await sum(other.db, "ledger_coupon", gid)
	};
	return JSON.stringify(actual) === JSON.stringify(expected) ? [] : [`${status} with ${JSON.stringify(actual)}`];
}

/** An epoch has one owner. */
export async function ownersOf({ owner }: Databases, gid: string): Promise<string[]> {
	const rows = await owner.db.query<{ epoch: number; writers: number }>(
		"SELECT epoch, COUNT(DISTINCT writer) AS writers FROM history WHERE gid = $gid GROUP BY epoch",
		{ type: QueryTypes.SELECT, bind: { gid } }
	);
	return rows.filter(({ writers }) => writers > 1).map(({ epoch }) => `epoch ${epoch} had two owners`);
}

/** Over all cells: the conserved sum, and the rule that a compensation's barrier row never stands without its action's. */
export async function brokenTogether({ owner, other }: Databases): Promise<string[]> {
	const [pool] = await other.db.query<{ balance: number }>("SELECT balance FROM pool", { type: QueryTypes.SELECT });
	const total = (pool?.balance ?? 0) + (await sum(other.db, "ledger_points"));
	const problems = total === POOL ? [] : [`pool and points make ${total}, not ${POOL}`];
	for (const { db } of [owner, other]) {
		const lone = await db.query<{ gid: string }>(
			`SELECT taken.gid FROM saga_barrier taken LEFT JOIN saga_barrier act
			ON act.gid = taken.gid AND act.step = taken.step AND act.op = 'action'
			WHERE taken.op = 'compensate' AND act.gid IS NULL`,
			{ type: QueryTypes.SELECT }
		);
		if (lone.length > 0) problems.push(`${lone.length} compensations without a barrier row of their action`);
	}
	return problems;
}

/** The rows of a saga, as they are stored. */
export async function rowsOf({ owner }: Databases, gid: string): Promise<Record<string, unknown[]>> {
	const [saga, step, event] = await Promise.all([
		select(owner.db, "saga", gid, "gid"),
		select(owner.db, "saga_step", gid, "idx"),
		select(owner.db, "saga_event", gid, "seq")
	]);
	return { saga, step, event };
}

/** What else there is to look at after a violation. */
export async function tracesOf({ owner, other }: Databases, gid: string): Promise<object> {
	const barriers = [owner, other].map(({ db }) => select(db, "saga_barrier", gid, "created_at"));
	return { history: await select(owner.db, "history", gid, "epoch"), barriers: (await Promise.all(barriers)).flat() };
}

function select(db: Db, table: string, gid: string, order: string): Promise<unknown[]> {
	const options = { type: QueryTypes.SELECT, bind: { gid } } as const;
	return db.query(`SELECT * FROM ${table} WHERE gid = $gid ORDER BY ${order}`, options);
}

type Db = Databases["owner"]["db"];

async function sum(db: Db, table: string, gid?: string): Promise<number> {
	const where = gid === undefined ? "" : "WHERE gid = $gid";
	const [row] = await db.query<{ total: number | string | null }>(
		`SELECT SUM(amount) AS total FROM ${table} ${where}`,
		{
			type: QueryTypes.SELECT,
			...(gid !== undefined && { bind: { gid } })
		}
	);
	return Number(row?.total ?? 0);
}
