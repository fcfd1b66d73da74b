import { setTimeout as delay } from "node:timers/promises";
import { type Context, ServiceBroker } from "moleculer";
import { DataTypes, type Transaction } from "sequelize";
import { throughChannels } from "../../mixins/channels/publisher.ts";
import { type ChannelsMethods, ChannelsMixin } from "../../mixins/channels.mixin.ts";
import { DbMixin } from "../../mixins/db.mixin.ts";
import { type OutboxMethods, OutboxMixin } from "../../mixins/outbox.mixin.ts";
import { startMariadb } from "../../scripts/servers/mariadb.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import { prepare } from "../../test/support/outbox.ts";

/** One measurement; times in milliseconds. */
export interface PipelineResult {
	what: string;
	writes_per_second: number;
	p50: number;
	p99: number;
}

interface Writer extends OutboxMethods, ChannelsMethods {
	transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
}

/** A few, and as many as keep the machine busy. */
const FEW = 8;
const MANY = 32;
/** A machine that can not keep up shows a lower rate, not a queue. */
const MOST_AT_ONCE = 50;

/** Writes facts at a rate, and as fast as it goes, and takes the time until a handler has ended. */
export async function benchPipeline(quick: boolean): Promise<PipelineResult[]> {
	const [nats, mariadb] = await Promise.all([startNats({ jetstream: true }), startMariadb()]);
	const url = await mariadb.createDatabase("bench");
	await prepare(url);
	const broker = new ServiceBroker({ logger: false });
	const times: number[] = [];
	const service = broker.createService({
		name: "bench",
		mixins: [
			OutboxMixin({ publisher: throughChannels }),
			ChannelsMixin({
				url: () => nats.url,
				streams: [
					{ name: "BENCH", subjects: ["bench.>"], maxAge: 3600 },
					{ name: "DEAD", subjects: ["dead.>"], maxAge: 3600 }
				],
				consumers: [{ name: "bench", stream: "BENCH", concurrency: 50 }]
			}),
			DbMixin({
				model: { name: "thing", define: { id: { type: DataTypes.BIGINT, primaryKey: true } } },
				url: () => url,
				migrate: "off",
				connection: { poolSize: MANY + FEW }
			})
		],
		channels: {
			bench: async (ctx: Context<{ at: number }>) => void times.push(performance.now() - ctx.params.at)
		}
	}) as unknown as Writer;
	await broker.start();

	let n = 0;
	const write = () =>
		service.transaction(transaction => {
			const payload = { at: performance.now() };
			return service.outbox.add(transaction, {
				stream: "BENCH",
				subject: "bench.written",
				payload,
				aggregate: `a${n++ % 1000}`
			});
		});
	const seconds = quick ? 3 : 15;
	const measure = async (what: string, load: (end: number) => Promise<unknown>): Promise<PipelineResult> => {
		times.length = 0;
		const [first, begun] = [n, performance.now()];
		await load(begun + seconds * 1000);
		while (times.length < n - first) await delay(5);
		const elapsed = (performance.now() - begun) / 1000;
		const sorted = times.toSorted((a, b) => a - b);
		const at = (share: number) => Math.round((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) * 10) / 10;
		return { what, writes_per_second: Math.round((n - first) / elapsed), p50: at(0.5), p99: at(0.99) };
	};
	const atRate = (rate: number) => async (end: number) => {
		const begun = performance.now();
		const pending = new Set<Promise<unknown>>();
		for (let sent = 0; performance.now() < end; await delay(2))
			for (; sent < ((performance.now() - begun) / 1000) * rate && pending.size < MOST_AT_ONCE; sent++) {
				const written: Promise<unknown> = write().finally(() => pending.delete(written));
				pending.add(written);
			}
		await Promise.all(pending);
	};
	const asFastAsItGoes = (writers: number) => (end: number) =>
		Promise.all(
			Array.from({ length: writers }, async () => {
				while (performance.now() < end) await write();
			})
		);
	try {
		await measure("warm-up", atRate(100));
		return [
			await measure("500 writes a second", atRate(500)),
			await measure(`${FEW} writers, as fast as it goes`, asFastAsItGoes(FEW)),
			await measure(`${MANY} writers, as fast as it goes`, asFastAsItGoes(MANY))
		];
	} finally {
		await broker.stop();
		await Promise.all([nats.stop(), mariadb.stop()]);
	}
}
