import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import DataLoader from "dataloader";
import { ServiceBroker } from "moleculer";
import { type ChannelMessage, type ChannelsMethods, ChannelsMixin } from "../../mixins/channels.mixin.ts";
import { ulid } from "../../mixins/outbox/ulid.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { startNats } from "../../scripts/servers/nats.ts";

/** What a stall of a consumer leads to. */
export interface StallResult {
	place: string;
	messages_per_second: number;
	stall_ms: number;
	/** How many messages were not handled when the stall was over. */
	behind: number;
	/** From the end of the stall until nothing was left, under the same load; null where that did not come to pass. */
	caught_up_ms: number | null;
	/** How many were handled that had been handed out before. */
	again: number;
}

const RATE = 1_000;
const STALL_MS = 3_000;
const BEFORE_MS = 1_000;
const PATIENCE_MS = 20_000;
/** What one transaction of the handler's takes, however many messages share it. */
const TRANSACTION_MS = 5;
/** So many under way are no backlog. */
const UNDER_WAY = 100;

/**
 * Publishes messages of one source at a constant rate, as the audit log's come, lets the consumer's transactions hang for a
 * while, as behind a locked table, and takes the time until it has made up for that.
 */
export async function benchStall(): Promise<StallResult[]> {
	const nats = await startNats({ jetstream: true });
	try {
		const file = join(temporaryFolder("stall"), "streams.sqlite");
		return [await stall("JetStream", nats.url), await stall("file", `file:${file}`)];
	} finally {
		await nats.stop();
	}
}

async function stall(place: string, url: string): Promise<StallResult> {
	let stalled: Promise<void> | undefined;
	const transactions = new DataLoader<string, undefined>(
		async ids => {
			await stalled;
			await delay(TRANSACTION_MS);
			return ids.map(() => undefined);
		},
		{ cache: false }
	);
	const handled = new Set<string>();
	let again = 0;
	const broker = new ServiceBroker({ logger: false });
	const service = broker.createService({
		name: "stall",
		mixins: [
			ChannelsMixin({
				url: () => url,
				streams: [
					{ name: "BENCH", subjects: ["bench.>"], maxAge: 3600 },
					{ name: "DEAD", subjects: ["dead.>"], maxAge: 3600 }
				],
				consumers: [{ name: "log", stream: "BENCH", orderBy: "source", together: 50 }]
			})
		],
		channels: {
			async log(_, { id, attempts }: ChannelMessage) {
				if (attempts > 1) again++;
				await transactions.load(id);
				handled.add(id);
			}
		}
	}) as unknown as ChannelsMethods;
	await broker.start();

	let sent = 0;
	const behind = () => sent - handled.size;
	const begun = performance.now();
	const load = async (condition: () => boolean) => {
		for (; condition(); await delay(2))
			for (; sent < ((performance.now() - begun) / 1000) * RATE; sent++) {
				const id = ulid();
				const headers = { "event-id": id, source: "bench" };
				void service.channels.publish({ stream: "BENCH", subject: "bench.written", id, headers, data: "{}" });
			}
	};
	const elapsed = (since: number) => performance.now() - since;
	try {
		await load(() => elapsed(begun) < BEFORE_MS);
		const { promise, resolve } = Promise.withResolvers<void>();
		stalled = promise;
		await load(() => elapsed(begun) < BEFORE_MS + STALL_MS);
		const left = behind();
		resolve();
		const over = performance.now();
		await load(() => behind() > UNDER_WAY && elapsed(over) < PATIENCE_MS);
		const caught_up_ms = behind() > UNDER_WAY ? null : Math.round(elapsed(over));
		return { place, messages_per_second: RATE, stall_ms: STALL_MS, behind: left, caught_up_ms, again };
	} finally {
		await broker.stop();
	}
}
