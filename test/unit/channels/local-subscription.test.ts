import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LocalStore } from "../../../mixins/channels/local/store.ts";
import { LocalSubscription } from "../../../mixins/channels/local/subscription.ts";
import { LocalTransport } from "../../../mixins/channels/local/transport.ts";
import type { Accept, ConsumerDefinition, Delivery } from "../../../mixins/channels/transport.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { consumer, fact, streams } from "../../support/channels.ts";
import { until } from "../../support/until.ts";

const STREAM = "FACTS";
const READER = "reader";

describe("A consumer of a stream in a file", { timeout: 30_000 }, () => {
	const folder = temporaryFolder("streams");
	let files = 0;

	/** A file with so many messages. */
	function stored(t: TestContext, count: number) {
		const file = join(folder, `${++files}.sqlite`);
		const store = new LocalStore(file);
		for (const definition of streams) store.declareStream(definition, 0);
		store.declareConsumer(STREAM, READER);
		store.append(
			Array.from({ length: count }, (_, i) => ({ message: fact(i), since: 0 })),
			Date.now()
		);
		const take = () => store.take(STREAM, READER, { now: Date.now(), due: Date.now() + 60_000, limit: 10 });
		t.after(() => store.close());
		return { file, store, again: () => take().map(({ seq, attempts }) => [seq, attempts]) };
	}

	/** Serves it; what it accepts is in `deliveries`. */
	function serve(t: TestContext, store: LocalStore, definition: Partial<ConsumerDefinition>, accept?: Accept) {
		const deliveries: Delivery[] = [];
		const warnings: string[] = [];
		let declared = 0;
		const subscription = new LocalSubscription({
			store,
			definition: consumer({ ackWait: 60_000, ...definition }),
			declare: async () => void declared++,
			async accept(delivery) {
				deliveries.push(delivery);
				await accept?.(delivery);
			},
			warn: message => void warnings.push(message)
		});
		t.after(() => subscription.stop());
		return { subscription, deliveries, warnings, declarations: () => declared };
	}

	it("that stops gives back what it has not handed out, at once and not counted as tried", async t => {
		const { store, again } = stored(t, 3);
		const { promise, resolve } = Promise.withResolvers<void>();
		const { subscription, deliveries } = serve(t, store, {}, () => promise);
		await until("the first is being accepted", () => deliveries.length === 1);
		assert.equal(store.pending(STREAM, READER), 3, "all were read together");
		const stopped = subscription.stop();
		resolve();
		await stopped;
		assert.equal(deliveries.length, 1);
		assert.deepEqual([again(), again(), again()], [[[2, 1]], [[3, 1]], []]);
	});

	it("has no more unacknowledged messages than it may have, and goes on with each that is acknowledged", async t => {
		const { store } = stored(t, 5);
		let most = 0;
		const accept = async () => {
			most = Math.max(most, store.pending(STREAM, READER));
		};
		const { deliveries } = serve(t, store, { maxAckPending: 2, concurrency: 10 }, accept);
		for (let count = 2; count < 5; count++) {
			await until(`${count} are accepted`, () => deliveries.length >= count);
			await deliveries[count - 2]?.ack();
		}
		await until("the last is accepted", () => deliveries.length >= 5);
		assert.equal(most, 2);
		assert.deepEqual(
			deliveries.map(({ seq, attempts }) => [seq, attempts]),
			[1, 2, 3, 4, 5].map(seq => [seq, 1])
		);
	});

	it("declares itself anew after an error, which may have been that it is gone", async t => {
		const { store } = stored(t, 1);
		const take = t.mock.method(store, "take");
		take.mock.mockImplementationOnce(() => {
			throw new Error("disk I/O error");
		});
		const { subscription, deliveries, warnings, declarations } = serve(t, store, {});
		await until("the message is accepted", () => deliveries.length === 1);
		assert.equal(declarations(), 2);
		assert.deepEqual(warnings, ["Consumer reader can not read, trying again"]);
		store.append([{ message: fact(2), since: 0 }], Date.now());
		subscription.wake();
		await until("the next one", () => deliveries.length === 2);
		assert.equal(declarations(), 2, "not while all is well");
	});

	it("puts off when a message comes again while it is worked on, and by as much as a retry says", async t => {
		t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
		const { store } = stored(t, 1);
		const { deliveries } = serve(t, store, { ackWait: 5_000 });
		await until("it is accepted", () => deliveries.length === 1);
		const due = () => store.nextDue(STREAM, READER);
		assert.equal(due(), 1_005_000);
		t.mock.timers.setTime(1_004_000);
		deliveries[0]?.working();
		assert.equal(due(), 1_009_000);
		await deliveries[0]?.retry(70);
		assert.equal(due(), 1_004_070);
	});

	it("stops at once while it waits for messages", async t => {
		t.mock.timers.enable({ apis: ["setTimeout"] });
		const { store } = stored(t, 0);
		const nextDue = t.mock.method(store, "nextDue");
		const { subscription } = serve(t, store, {});
		while (nextDue.mock.callCount() === 0) await nextTurn();
		let isStopped = false;
		const stopped = subscription.stop().then(() => {
			isStopped = true;
		});
		for (let i = 0; i < 10; i++) await nextTurn();
		const wasAtOnce = isStopped;
		t.mock.timers.tick(500);
		await stopped;
		assert.ok(wasAtOnce);
	});

	for (const error of [undefined, new Error("disk I/O error")])
		it(`stops at once while it is declared, ${error ? "also where that fails" : "and waits for no message"}`, async t => {
			t.mock.timers.enable({ apis: ["setTimeout"] });
			const { store } = stored(t, 0);
			const { promise, resolve, reject } = Promise.withResolvers<void>();
			const subscription = new LocalSubscription({
				store,
				definition: consumer(),
				declare: () => promise,
				warn() {},
				accept: async () => assert.fail("accepted")
			});
			let isStopped = false;
			const stopped = subscription.stop().then(() => {
				isStopped = true;
			});
			if (error) reject(error);
			else resolve();
			for (let i = 0; i < 10; i++) await nextTurn();
			const wasAtOnce = isStopped;
			t.mock.timers.tick(500);
			await stopped;
			assert.ok(wasAtOnce);
		});

	it("has stopped when its transport is closed, which waits for it", async t => {
		const { file, store, again } = stored(t, 2);
		const warnings: string[] = [];
		const log = { info() {}, warn: (message: string) => void warnings.push(message), error() {} };
		const transport = new LocalTransport(file, log);
		const { promise, resolve } = Promise.withResolvers<void>();
		t.after(() => transport.close());
		let accepted = 0;
		const accept = () => {
			accepted++;
			return promise;
		};
		transport.subscribe(consumer({ ackWait: 60_000 }), async () => {}, accept);
		await until("the first is being accepted", () => accepted === 1);
		let isClosed = false;
		const closed = transport.close().then(() => {
			isClosed = true;
		});
		await nextTurn();
		assert.equal(isClosed, false);
		resolve();
		await closed;
		assert.deepEqual([accepted, warnings, store.pending(STREAM, READER)], [1, [], 2]);
		assert.deepEqual(again(), [[2, 1]]);
	});
});
