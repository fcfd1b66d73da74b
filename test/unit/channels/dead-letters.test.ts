import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { DeadLetters } from "../../../mixins/channels/dead-letters.ts";
import { LocalTransport } from "../../../mixins/channels/local/transport.ts";
import { ChannelError, type OutgoingMessage } from "../../../mixins/channels/transport.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { fact, streams } from "../../support/channels.ts";

/** More than one page of a list. */
const MANY = 60;

describe("The dead letters of consumers", () => {
	const folder = temporaryFolder("streams");
	let files = 0;

	/** Dead letters in a file; `replayed` is called with each message that is sent to its stream again. */
	async function opened(t: TestContext, replayed: (message: OutgoingMessage, count: number) => Promise<void> | void) {
		const transport = new LocalTransport(join(folder, `${++files}.sqlite`), { info() {}, warn() {} } as never);
		t.after(() => transport.close());
		for (const definition of streams) await transport.declareStream(definition);
		let count = 0;
		const letters = new DeadLetters({
			transport,
			declare: async () => {},
			reaches: () => true,
			async publish(message) {
				if (message.stream === "FACTS") await replayed(message, ++count);
				return transport.publish(message);
			}
		});
		let seq = 0;
		const bury = (consumer: string, message: OutgoingMessage = fact(0), text = "broken") =>
			letters.bury({ ...message, seq: ++seq, time: 1, attempts: 3 }, consumer, new Error(text));
		const ids = async (consumer?: string) => (await letters.list({ consumer, limit: 1_000 })).map(({ id }) => id);
		return { letters, bury, ids, facts: async () => (await transport.streamState("FACTS")).lastSeq };
	}

	const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

	it("are replayed once, all that were there at the beginning: not those that are given up again meanwhile", async t => {
		const { letters, bury, ids, facts } = await opened(t, async (message, count) => {
			// A replay without end would end the test by being seen, and not by its time.
			if (count <= 3 * MANY) await bury("reader", message);
		});
		for (let i = 0; i < MANY; i++) await bury("reader");
		assert.deepEqual(await letters.replayAll(), numbers(1, MANY));
		assert.deepEqual(await ids(), numbers(MANY + 1, 2 * MANY));
		assert.equal(await facts(), MANY);
	});

	for (const error of [new ChannelError("CHANNELS_UNAVAILABLE", "nobody answers"), new Error("disk full")])
		it(`stay where the stream does not take them, and who replays them learns why: ${error.message}`, async t => {
			const { letters, bury, ids, facts } = await opened(t, (_message, count) => {
				if (count >= 2) throw error;
			});
			for (let i = 0; i < 3; i++) await bury("reader");
			await assert.rejects(letters.replayAll(), error);
			assert.deepEqual([await ids(), await facts()], [[2, 3], 1]);
		});

	it("tell a long error as far as it goes, also where it ends within a character", async t => {
		const { letters, bury } = await opened(t, () => {});
		await bury("reader", fact(0), "ä".repeat(4_000));
		assert.match((await letters.get(1)).error.message, /^ä{600,}\ufffd?$/);
	});

	it("are listed and replayed for one consumer alone, where asked for it", async t => {
		const receivers: (string | undefined)[] = [];
		const { letters, bury, ids } = await opened(t, ({ headers }) => void receivers.push(headers["x-replay-for"]));
		for (const consumer of ["reader", "other", "reader", "readers"]) await bury(consumer);
		assert.deepEqual([await ids("reader"), await ids("other"), await ids("nobody")], [[1, 3], [2], []]);
		assert.deepEqual(await letters.replayAll("reader"), [1, 3]);
		assert.deepEqual(receivers, ["reader", "reader"]);
		assert.deepEqual(await ids(), [2, 4]);
	});
});
