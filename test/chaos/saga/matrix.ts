import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { QueryTypes } from "sequelize";
import { clockOf } from "../../../mixins/saga/database.ts";
import { readSagas } from "../../../mixins/saga/rows.ts";
import { isFinished, type SagaState } from "../../../mixins/saga/state.ts";
import type { Cell } from "./cells.ts";
import { balanceOf, brokenTogether, ownersOf, rowsOf, tracesOf } from "./checks.ts";
import type { Mutation } from "./mutations.ts";
import { Processes, type Victim } from "./processes.ts";
import { connect, createTables, type Databases, hasFired } from "./world.ts";

const PATIENCE_MS = 15_000;
/** How long a fault may be noted after the end of its saga. */
const LATE_STRIKE_MS = 2_000;
const STRIKE_ATTEMPTS = 4;
const NEVER_STRUCK = "the fault never struck";
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
	readonly #processes: Processes;

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
		this.#processes = new Processes(this.#broker, options);
	}

	/** Makes the tables and starts two recovery coordinators and two processes of participants. */
	async start(): Promise<void> {
		await createTables(this.#databases);
		await this.#broker.start();
		const names = ["left", "right"];
		await Promise.all(names.map(name => this.#processes.start("participant", `participant-${name}`)));
		await Promise.all(names.map(name => this.#processes.start("coordinator", `coordinator-${name}`)));
		await this.#broker.waitForServices([
			"user",
			"points",
			"coupon",
			"check",
			...names.map(name => `coordinator-${name}`)
		]);
	}

	async stop(): Promise<void> {
		await this.#processes.stop();
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
			if (kind) this.#processes.order(kind);
		};
		for (let ahead = 0; ahead < LANES; ahead++) order();
		const lane = async () => {
			for (const cell of rest) {
				const report = await this.#struckCell(cell, order);
				this.#options.onCell?.(report);
				reports.push(report);
			}
		};
		await Promise.all(Array.from({ length: LANES }, lane));
		const broken = await brokenTogether(this.#databases);
		if (broken.length > 0 && cells[0])
			reports.push({
				cell: { ...cells[0], group: "together", name: "sums and barrier rows" },
				gid: "-",
				violations: broken
			});
		return reports;
	}

	/**
	 * On a machine that is too busy a victim loses its saga to another owner before the place is reached, and nothing is
	 * struck. Such a run shows nothing about the fault, so the cell runs again; what must hold was checked all the same.
	 */
	async #struckCell(cell: Cell, order: () => void): Promise<CellReport> {
		for (let attempt = 1; ; attempt++) {
			const report = await this.#runCell(cell, order);
			const isOnlyMissed = report.violations.length === 1 && report.violations[0] === NEVER_STRUCK;
			if (!isOnlyMissed || attempt === STRIKE_ATTEMPTS) return report;
		}
	}

	async #runCell(cell: Cell, order: () => void): Promise<CellReport> {
		const gid = randomBytes(12).toString("base64url");
		const violations: string[] = [];
		const victim = cell.victim ? await this.#processes.victim(cell.victim) : undefined;
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
		if (!(await hasFired(this.#databases, gid))) violations.push(NEVER_STRUCK);
		const before = await rowsOf(this.#databases, gid);
		violations.push(...(await balanceOf(this.#databases, gid, saga?.status)));
		await this.#deliverLate(gid, payload);
		if (cell.payload.fault.kind === "stop") {
			victim?.process.signal("SIGCONT");
			await run;
		} else if (!cell.victim) await run;
		await victim?.process.kill();

		const after = await rowsOf(this.#databases, gid);
		if (JSON.stringify(before) !== JSON.stringify(after)) violations.push("the rows of a finished saga changed");
		violations.push(
			...(await balanceOf(this.#databases, gid, saga?.status)),
			...(await ownersOf(this.#databases, gid))
		);
		return {
			cell,
			gid,
			violations,
			...(violations.length > 0 && { dump: { before, after, ...(await tracesOf(this.#databases, gid)) } })
		};
	}

	/** Waits for the end of a saga; a stopped process is resumed early where the cell says so. */
	async #finished(gid: string, victim: Victim | undefined, { resume }: Cell): Promise<SagaState | undefined> {
		const { db } = this.#databases.owner;
		let resumed = false;
		let finishedAt: number | undefined;
		for (const end = performance.now() + PATIENCE_MS; ; await delay(10)) {
			const [saga] = await readSagas(db, clockOf(db), { where: "gid = $gid", bind: { gid } });
			if (resume === "claimed" && !resumed && saga && saga.epoch > 1)
				resumed = victim?.process.signal("SIGCONT") ?? true;
			if (saga && isFinished(saga)) finishedAt ??= performance.now();
			const isLate = finishedAt !== undefined && performance.now() > finishedAt + LATE_STRIKE_MS;
			const isOver = finishedAt !== undefined && (isLate || (await hasFired(this.#databases, gid)));
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
}
