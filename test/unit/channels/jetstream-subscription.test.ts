import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ConsumerDebugEvents, ConsumerEvents, type JetStreamClient } from "nats";
import { JetStreamSubscription } from "../../../mixins/channels/jetstream/subscription.ts";
import { JetStreamTransport } from "../../../mixins/channels/jetstream/transport.ts";
import type { Delivery } from "../../../mixins/channels/transport.ts";
import { consumer } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

/** What is given to it, one after the other, until it is ended. */
class Feed<T> {
	readonly #items: T[] = [];
	#ended = false;
	#wake = () => {};

	push(...items: T[]): void {
		this.#items.push(...items);
		this.#wake();
	}

	end(): void {
		this.#ended = true;
		this.#wake();
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<T> {
		for (;;) {
			const item = this.#items.shift();
			if (item !== undefined) yield item;
			else if (this.#ended) return;
			else
				await new Promise<void>(resolve => {
					this.#wake = resolve;
				});
		}
	}
}

/** A pull request that a client keeps up: messages and what it tells of itself. */
class Pull extends Feed<object> {
	readonly told = new Feed<{ type: string }>();
	stops = 0;
	closes = 0;

	async status() {
		return this.told;
	}

	stop(): void {
		this.stops++;
		this.end();
	}

	async close(): Promise<void> {
		this.closes++;
		this.told.end();
		this.end();
	}
}

describe("A subscription to JetStream", { timeout: 30_000 }, () => {
	/** On a client of the kind of NATS's own, whose pull requests are in `pulls`. */
	function subscribe(t: TestContext) {
		const pulls: Pull[] = [];
		const warnings: string[] = [];
		const deliveries: Delivery[] = [];
		let declared = 0;
		const durable = {
			info: async () => ({ num_ack_pending: 0, delivered: { stream_seq: 0 } }),
			async consume() {
				const pull = new Pull();
				pulls.push(pull);
				return pull;
			}
		};
		const subscription = new JetStreamSubscription({
			client: async () => ({ consumers: { get: async () => durable } }) as unknown as JetStreamClient,
			definition: consumer(),
			declare: async () => void declared++,
			accept: async delivery => void deliveries.push(delivery),
			warn: message => void warnings.push(message)
		});
		t.after(() => subscription.stop());
		return { subscription, pulls, warnings, deliveries, declarations: () => declared };
	}

	for (const type of [
		ConsumerEvents.HeartbeatsMissed,
		ConsumerEvents.ConsumerNotFound,
		ConsumerEvents.ConsumerDeleted,
		ConsumerEvents.StreamNotFound,
		ConsumerEvents.NoResponders
	])
		it(`declares itself and pulls anew after "${type}"`, async t => {
			const { pulls, warnings, declarations } = subscribe(t);
			await until("it pulls", () => pulls.length === 1);
			pulls[0]?.told.push({ type });
			await until("it pulls again", () => pulls.length === 2, 5_000);
			assert.equal(declarations(), 2);
			assert.deepEqual([pulls[0]?.stops, pulls[0]?.closes], [1, 1], "nothing of the old one is left");
			assert.deepEqual(warnings, [`Consumer reader: ${type}, starting again`]);
		});

	it("goes on as it is whatever else the client tells", async t => {
		const { pulls, warnings } = subscribe(t);
		await until("it pulls", () => pulls.length === 1);
		pulls[0]?.told.push({ type: ConsumerDebugEvents.Next }, { type: ConsumerDebugEvents.Reset });
		for (let i = 0; i < 10; i++) await nextTurn();
		assert.deepEqual([pulls[0]?.stops, pulls.length, warnings], [0, 1, []]);
	});

	it("that stops closes what it pulls with, and pulls no more", async t => {
		const { subscription, pulls } = subscribe(t);
		await until("it pulls", () => pulls.length === 1);
		await subscription.stop();
		assert.deepEqual([pulls[0]?.closes, pulls.length], [1, 1]);
	});

	it("acknowledges each of the messages that are done together, and waits for the server's word on the last", async t => {
		const { pulls, deliveries } = subscribe(t);
		const sent: string[] = [];
		const { promise, resolve } = Promise.withResolvers<boolean>();
		const message = (seq: number) => ({
			seq,
			subject: "fact.counted",
			info: { timestampNanos: 1e6, redeliveryCount: 1 },
			string: () => "{}",
			ack: () => void sent.push(`ack ${seq}`),
			ackAck() {
				sent.push(`ackAck ${seq}`);
				return promise;
			}
		});
		await until("it pulls", () => pulls.length === 1);
		pulls[0]?.push(message(1), message(2), message(3));
		await until("all are accepted", () => deliveries.length === 3);
		let done = 0;
		const acks = deliveries.map(delivery => delivery.ack().then(() => done++));
		await until("they are sent", () => sent.includes("ackAck 3"));
		assert.deepEqual([sent, done], [["ack 1", "ack 2", "ackAck 3"], 0]);
		resolve(true);
		await Promise.all(acks);
		assert.equal(done, 3);
	});
});

it("A transport whose first connection failed for good tries again with the next call", async t => {
	let tries = 0;
	const transport = new JetStreamTransport(
		() => {
			tries++;
			throw new Error("no credentials");
		},
		{ info() {}, warn() {}, error() {} }
	);
	t.after(() => transport.close());
	for (const expected of [1, 2]) {
		await assert.rejects(transport.streamState("FACTS"), /no credentials/);
		assert.equal(tries, expected);
	}
});
