/** `npm run bench:saga`: sagas a second, beside the same work as two plain calls without any guarantee. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { ServiceBroker } from "moleculer";
import type { Sequelize } from "sequelize";
import { acquire } from "../../mixins/db/connection.ts";
import { runInTransaction } from "../../mixins/db/transaction.ts";
import { barrier } from "../../mixins/saga/barrier.ts";
import type { Database } from "../../mixins/saga/database.ts";
import { defineSaga } from "../../mixins/saga/definition.ts";
import { createBarrierTable, createSagaListIndex, createSagaTables } from "../../mixins/saga/migrations.ts";
import { Sagas } from "../../mixins/saga/sagas.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false } } });
const SECONDS = values.quick ? 2 : 8;
const CONCURRENCY = [1, 16, 32];

const steps = ["user", "points", "coupon"].map(name => ({ name, action: `${name}.do`, compensate: `${name}.undo` }));
const saga = defineSaga({ name: "bench", version: 1, steps });

const mariadb = await startMariadb({
	durable: true,
	args: ["--innodb-log-file-size=256M", "--innodb-buffer-pool-size=512M"]
});
const open = async (name: string): Promise<Database & { release(): Promise<void> }> => {
	const { sequelize: db, release } = acquire(await mariadb.createDatabase(name), { poolSize: 32 });
	return { db, release, transaction: work => runInTransaction(db, work) };
};
const [owner, other] = await Promise.all([open("owner"), open("other")]);
const send = (db: Sequelize) => async (statement: string) => void (await db.query(statement));
await createSagaTables(send(owner.db));
await createSagaListIndex(send(owner.db));
for (const { db } of [owner, other]) {
	await createBarrierTable(send(db));
	await db.query("CREATE TABLE work (id BIGINT PRIMARY KEY AUTO_INCREMENT, step VARCHAR(64) NOT NULL)");
}

const broker = new ServiceBroker({ logger: false });
for (const { name } of steps) {
	const { db, transaction } = name === "user" ? owner : other;
	const insert = "INSERT INTO work (step) VALUES ($name)";
	broker.createService({
		name,
		actions: {
			do: ctx =>
				transaction(tx =>
					barrier(ctx, tx, async () => void (await db.query(insert, { transaction: tx, bind: { name } })))
				),
			undo: () => null,
			plain: async () => void (await db.query(insert, { bind: { name } }))
		}
	});
}
const sagas = new Sagas({ ...owner, broker, logger: console, fullName: "bench" }, [saga]);
await broker.start();
sagas.start();

const kinds = {
	"saga, three branches with barrier": async () => {
		const { status } = await sagas.run(saga, { payload: {}, wait: 10_000 });
		if (status !== "succeed") throw new Error(`A saga is ${status}`);
	},
	"two plain calls, no guarantee": async () => {
		await broker.call("user.plain");
		await broker.call("points.plain");
	}
};

const TICK_MS = 10;

/** CPU time so far of this process and of the database server, in milliseconds (Linux; proc(5)). */
function cpuMilliseconds(): { node: number; mariadb: number } {
	const { user, system } = process.cpuUsage();
	const fields = readFileSync(`/proc/${mariadb.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
	return { node: (user + system) / 1000, mariadb: (Number(fields[11]) + Number(fields[12])) * TICK_MS };
}

async function measure(work: () => Promise<void>, concurrency: number) {
	const times: number[] = [];
	const begin = performance.now();
	const cpuBefore = cpuMilliseconds();
	const end = begin + SECONDS * 1000;
	const lane = async () => {
		while (performance.now() < end) {
			const start = performance.now();
			await work();
			times.push(performance.now() - start);
		}
	};
	await Promise.all(Array.from({ length: concurrency }, lane));
	const seconds = (performance.now() - begin) / 1000;
	const cpu = cpuMilliseconds();
	times.sort((a, b) => a - b);
	const percentile = (share: number) => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(1));
	// What other processes of the machine do not change: how much work one saga is.
	const each = (spent: number) => Number((spent / times.length).toFixed(2));
	return {
		perSecond: Math.round(times.length / seconds),
		p50: percentile(0.5),
		p99: percentile(0.99),
		nodeCpu: each(cpu.node - cpuBefore.node),
		mariadbCpu: each(cpu.mariadb - cpuBefore.mariadb)
	};
}

const results = [];
for (const [kind, work] of Object.entries(kinds)) {
	await measure(work, 4);
	for (const concurrency of CONCURRENCY) results.push({ kind, concurrency, ...(await measure(work, concurrency)) });
}
console.table(results);
await sagas.stop();
await broker.stop();
await Promise.all([owner.release(), other.release()]);
await mariadb.stop();
console.log(JSON.stringify({ node: process.version, seconds: SECONDS, results }));
