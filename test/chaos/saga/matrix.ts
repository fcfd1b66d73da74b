import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { QueryTypes } from "sequelize";
import { clockOf } from "../../../mixins/saga/database.ts";
import { readSagas } from "../../../mixins/saga/rows.ts";
import { isFinished, type SagaState } from "../../../mixins/saga/state.ts";
import { type NodeProcess, spawnNode } from "../../../scripts/node-process.ts";
import type { Cell } from "./cells.ts";
import type { ChildOptions } from "./child.ts";
import type { Mutation } from "./mutations.ts";
import { connect, createTables, type Databases, hasFired, POOL } from "./world.ts";

const PATIENCE_MS = 15_000;
/** How many cells run at a time. */
const LANES = 6;

export interface MatrixOptions {
	nats: string;
	urls: { owner: string; other: string };
	mutation?: Mutation | undefined;
	onCell?(report: CellReport): void;
}

/** How a cell ended. */
export interface CellReport {
	cell: Cell;
	gid: string;
	violations: string[];
	/** The saga's rows, where there are violations. */
	dump?: unknown;
}

/** What runs the cells: recovery coordinators and participants that live on, and victims that are started per cell. */
export class Matrix {
	readonly #options: MatrixOptions;
	readonly #databases: Databases;
	readonly #broker: ServiceBroker;
	readonly #processes: NodeProcess[] = [];
	readonly #spare: Record<"coordinator" | "participant", Promise<Victim>[]> = { coordinator: [], participant: [] };
	#victims = 0;

	constructor(options: MatrixOptions) {
		this.#options = options;
		this.#databases = connect(options.urls);
		const transporter = { type: "NATS", options: { url: options.nats } } as const;
		this.#broker = new ServiceBroker({
			nodeID: `matrix-${process.pid}`,
			transporter,
			logger: false,
			requestTimeout: 0
		});
	}

	/** Makes the tables and starts two recovery coordinators and two processes of participants. */
	async start(): Promise<void> {
		await createTables(this.#databases);
		await this.#broker.start();
		const names = ["left", "right"];
		await Promise.all(names.map(name => this.#spawn("participant", `participant-${name}`, false)));
		await Promise.all(names.map(name => this.#spawn("coordinator", `coordinator-${name}`, false)));
		await this.#broker.waitForServices([
			"user",
			"points",
			"coupon",
			"check",
			...names.map(name => `coordinator-${name}`)
		]);
	}

	async stop(): Promise<void> {
		await Promise.all([...this.#spare.coordinator, ...this.#spare.participant]);
		await Promise.all(this.#processes.map(child => child.kill()));
		await this.#broker.stop();
		await this.#databases.close();
	}

	/** Runs cells, some at a time, and then looks at what must hold for all of them together. */
	async run(cells: readonly Cell[]): Promise<CellReport[]> {
		const reports: CellReport[] = [];
		const rest = cells.values();
		const needs = cells.flatMap(({ victim }) => victim ?? []).values();
		// A victim or two is always being started ahead.
		const order = () => {
			const { value: kind } = needs.next();
			if (kind) this.#spare[kind].push(this.#spawn(kind, `victim${++this.#victims}`, true));
		};
		for (let ahead = 0; ahead < LANES; ahead++) order();
		const lane = async () => {
			for (const cell of rest) {
				const report = await this.#runCell(cell, order);
				this.#options.onCell?.(report);
				reports.push(report);
			}
		};
		await Promise.all(Array.from({ length: LANES }, lane));
		const broken = await this.#global();
		if (broken.length > 0 && cells[0])
			reports.push({ cell: { ...cells[0], name: "all together" }, gid: "-", violations: broken });
		return reports;
	}

	async #runCell(cell: Cell, order: () => void): Promise<CellReport> {
		const gid = randomBytes(12).toString("base64url");
		const violations: string[] = [];
		const victim = cell.victim ? await this.#spare[cell.victim].shift() : undefined;
		order();
		const fault = { ...cell.payload.fault, ...(cell.victim === "participant" && { victim: victim?.name }) };
		const payload = { ...cell.payload, fault };
		const coordinator = cell.victim === "coordinator" ? victim?.name : "coordinator-left";
		// A victim's answer may never come.
		const run = this.#broker
			.call(`${coordinator}.run`, { gid, definition: cell.definition, payload }, { timeout: PATIENCE_MS })
			.catch(error => error as Error);

		const saga = await this.#finished(gid, victim, cell);
		if (!saga || !isFinished(saga)) violations.push(`stuck: ${saga?.status ?? "not stored"}`);
		if (!(await hasFired(this.#databases, gid))) violations.push("the fault never struck");
		const before = await this.#rowsOf(gid);
		violations.push(...(await this.#balance(gid, saga)));
		await this.#deliverLate(gid, payload);
		if (cell.payload.fault.kind === "stop") {
			victim?.process.signal("SIGCONT");
			await run;
		} else if (!cell.victim) await run;
		await victim?.process.kill();

		const after = await this.#rowsOf(gid);
		if (JSON.stringify(before) !== JSON.stringify(after)) violations.push("the rows of a finished saga changed");
		violations.push(...(await this.#balance(gid, saga)), ...(await this.#history(gid)));
		return {
			cell,
			gid,
			violations,
			...(violations.length > 0 && { dump: { before, after, ...(await this.#dump(gid)) } })
		};
	}

	/** Waits for the end of a saga; a stopped process is resumed early where the cell says so. */
	async #finished(gid: string, victim: Victim | undefined, { resume }: Cell): Promise<SagaState | undefined> {
		const { db } = this.#databases.owner;
		let resumed = false;
		for (const end = performance.now() + PATIENCE_MS; ; await delay(10)) {
			const [saga] = await readSagas(db, clockOf(db), { where: "gid = $gid", bind: { gid } });
			if (resume === "claimed" && !resumed && saga && saga.epoch > 1)
				resumed = victim?.process.signal("SIGCONT") ?? true;
			const isOver = saga && isFinished(saga) && (await hasFired(this.#databases, gid));
			if (isOver || performance.now() > end) return saga;
		}
	}

	/** Hands over the messages that the network kept: now the saga is over. */
	async #deliverLate(gid: string, payload: object): Promise<void> {
		const rows = await this.#databases.owner.db.query<{ action: string; branch: string }>(
			"SELECT action, branch FROM late WHERE gid = $gid",
			{ type: QueryTypes.SELECT, bind: { gid } }
		);
		for (const { action, branch } of rows)
			await this.#broker.call(action, payload, { meta: { saga: JSON.parse(branch) } }).catch(error => {
				if (error.type !== "SAGA_FAILURE") throw error;
			});
	}

	async #balance(gid: string, saga: SagaState | undefined): Promise<string[]> {
		const { owner, other } = this.#databases;
		const expected =
			saga?.status === "succeed" ? { user: 1, points: 10, coupon: 1 } : { user: 0, points: 0, coupon: 0 };
		// What a slow rollback still holds is not there yet.
		const sums = async () => ({
			user: await sum(owner.db, "ledger_user", gid),
			points: await sum(other.db, "ledger_points", gid),
			coupon: await sum(other.db, "ledger_coupon", gid)
		});
		const actual = await sums();
		const isRight = JSON.stringify(actual) === JSON.stringify(expected);
		return isRight ? [] : [`${saga?.status} with ${JSON.stringify(actual)}`];
	}

	async #history(gid: string): Promise<string[]> {
		const rows = await this.#databases.owner.db.query<{ epoch: number; writers: number }>(
			"SELECT epoch, COUNT(DISTINCT writer) AS writers FROM history WHERE gid = $gid GROUP BY epoch",
			{ type: QueryTypes.SELECT, bind: { gid } }
		);
		return rows.filter(({ writers }) => writers > 1).map(({ epoch }) => `epoch ${epoch} had two owners`);
	}

	/** The conserved sum, and the rule that a compensation's barrier row never stands without its action's. */
	async #global(): Promise<string[]> {
		const { owner, other } = this.#databases;
		const [pool] = await other.db.query<{ balance: number }>("SELECT balance FROM pool", { type: QueryTypes.SELECT });
		const given = await sum(other.db, "ledger_points");
		const total = (pool?.balance ?? 0) + given;
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

	async #rowsOf(gid: string): Promise<Record<string, unknown[]>> {
		const { db } = this.#databases.owner;
		const read = (table: string, order: string) =>
			db.query(`SELECT * FROM ${table} WHERE gid = $gid ORDER BY ${order}`, { type: QueryTypes.SELECT, bind: { gid } });
		const [saga, step, event] = await Promise.all([
			read("saga", "gid"),
			read("saga_step", "idx"),
			read("saga_event", "seq")
		]);
		return { saga, step, event };
	}

	async #dump(gid: string): Promise<object> {
		const { owner, other } = this.#databases;
		const read = (database: typeof owner, table: string) =>
			database.db.query(`SELECT * FROM ${table} WHERE gid = $gid`, { type: QueryTypes.SELECT, bind: { gid } });
		return {
			history: await read(owner, "history"),
			barriers: [...(await read(owner, "saga_barrier")), ...(await read(other, "saga_barrier"))]
		};
	}

	async #spawn(role: ChildOptions["role"], name: string, isVictim: boolean): Promise<Victim> {
		const { nats, urls, mutation } = this.#options;
		const options: ChildOptions = { role, name, isVictim, nats, urls, mutation };
		const args = ["test/chaos/saga/child.ts"];
		const child = spawnNode({ args, env: { CHAOS: JSON.stringify(options), NODE_ENV: "test" } });
		this.#processes.push(child);
		await child.waitForLine(/^ready$/);
		if (role === "coordinator" || isVictim)
			await this.#broker.waitForServices([role === "coordinator" ? name : `${name}.user`]);
		return { name, process: child };
	}
}

interface Victim {
	name: string;
	process: NodeProcess;
}

async function sum(db: Databases["owner"]["db"], table: string, gid?: string): Promise<number> {
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
