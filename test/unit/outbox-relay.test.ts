import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ChannelError } from "../../mixins/channels/transport.ts";
import type { Publisher } from "../../mixins/outbox/publish.ts";
import { Relay, type RelayPoint, type RelaySettings } from "../../mixins/outbox/relay.ts";
import type { OutboxRow } from "../../mixins/outbox/row.ts";
import type { OutboxStore, Step } from "../../mixins/outbox/store.ts";
import type { StreamRecord } from "../../mixins/outbox/streams.ts";
import { FakeStream, unavailable, upTo } from "../support/outbox.ts";
import { until } from "../support/until.ts";

const NEVER = 3_600_000;

/** What a step was asked for, as it was then. */
interface Asked {
	epoch: number;
	published: readonly number[];
	refused: readonly number[];
	streams: StreamRecord[];
}

const row = (id: number): OutboxRow => ({
	id,
	msg_id: `m${id}`,
	stream: "FACTS",
	subject: "fact.counted",
	payload: `{"n":${id}}`,
	headers: "{}",
	aggregate: "a",
	version: null,
	sequence: id,
	created_at: 1,
	attempts: 0
});

/** Turns enough for all that waits for no time. */
async function turns(): Promise<void> {
	for (let i = 0; i < 50; i++) await nextTurn();
}

interface Setting {
	/** What each step in turn is answered: the rows with these ids, null for who was replaced, or an error. */
	answers: (number[] | null | Error)[];
	recorded?: StreamRecord[];
	stream?: FakeStream;
	settings?: Partial<RelaySettings>;
	probe?: (point: RelayPoint) => void | Promise<void>;
}

/** A relay over a database that answers as a test says, and that is asked for as long as it has an answer. */
function relaying(t: TestContext, { answers, recorded = [], stream = new FakeStream(), settings, probe }: Setting) {
	const asked: Asked[] = [];
	let claims = 0;
	let alarms = 0;
	const store = {
		claim: async () => ++claims,
		hasWork: async () => answers.length > 0,
		async advance({ epoch, outcome, streams }: Step) {
			const refused = outcome.refused.map(({ id }) => id);
			asked.push(structuredClone({ epoch, published: outcome.published, refused, streams: [...streams.values()] }));
			await nextTurn();
			const answer = answers.length > 0 ? (answers.shift() as (typeof answers)[number]) : [];
			if (answer instanceof Error) throw answer;
			return answer === null ? null : answer.map(row);
		},
		requestRepublish: async () => void alarms++,
		release: async () => {}
	} as unknown as OutboxStore;
	const publisher: Publisher = stream;
	const relay = new Relay({
		store,
		publisher,
		source: "test",
		recorded: async () => structuredClone(recorded),
		...(probe && { probe }),
		settings: { lease: NEVER, poll: 1, batch: 200, load: 800, gather: 0, pause: 1, watch: NEVER, ...settings },
		log: { info() {}, warn() {}, error() {} }
	});
	t.after(() => relay.stop());
	return { relay, stream, asked, claims: () => claims, alarms: () => alarms };
}

describe("A relay", { timeout: 30_000 }, () => {
	it("that was replaced waits for the lease again, and marks nothing then of what it sent before", async t => {
		const { asked, claims, stream } = relaying(t, { answers: [upTo(2), null, []] });
		await until("it works again", () => asked.length >= 3);
		assert.deepEqual(stream.numbers, upTo(2));
		assert.equal(claims(), 2);
		assert.deepEqual(
			asked.slice(0, 3).map(({ epoch, published }) => [epoch, published]),
			[
				[1, []],
				[1, upTo(2)],
				// Another one may have seen since that the stream has lost them.
				[2, []]
			]
		);
	});

	it("knows of a stream what the relay before it has recorded, and not what it saw when it was the relay itself", async t => {
		const recorded: StreamRecord[] = [];
		const stream = new FakeStream();
		const answers = [upTo(3), null, []];
		const probe = (point: RelayPoint) => {
			if (point !== "published") return;
			stream.wipe();
			recorded.push({ stream: "FACTS", created: stream.created, lastSeq: 0, sequence: 7 });
		};
		const { asked, alarms } = relaying(t, { answers, recorded, stream, probe });
		await until("it works again", () => asked.length >= 3);
		assert.equal(alarms(), 0, "what was lost is published again already");
		assert.deepEqual(asked[2], { epoch: 2, published: [], refused: [], streams: recorded });
	});

	it("keeps what it saw of a stream when a step failed, and takes the numbers that were given from the record", async t => {
		const recorded = [{ stream: "FACTS", created: "", lastSeq: 0, sequence: 9 }];
		const stream = new FakeStream();
		const { asked } = relaying(t, { answers: [upTo(5), new Error("The connection was lost"), []], recorded, stream });
		await until("it tries again", () => asked.length >= 3);
		assert.deepEqual(asked[2], {
			epoch: 1,
			published: upTo(5),
			refused: [],
			streams: [{ stream: "FACTS", created: stream.created, lastSeq: 5, sequence: 9 }]
		});
	});

	it("sends nothing more when half of its lease is over, and marks what it has sent", async t => {
		let now = performance.now();
		t.mock.method(performance, "now", () => now);
		const stream = new FakeStream();
		stream.before = ({ id }) => {
			if (id === "m2") now += NEVER / 2 + 1;
		};
		const { asked } = relaying(t, { answers: [upTo(4), []], stream });
		await until("it marks", () => asked.length >= 2);
		assert.deepEqual([stream.numbers, asked[1]?.published], [upTo(2), upTo(2)]);
	});

	it("sends nothing of what it read before it was frozen for half of its lease", async t => {
		let now = performance.now();
		t.mock.method(performance, "now", () => now);
		const probe = (point: RelayPoint) => {
			if (point === "read") now += NEVER / 2 + 1;
		};
		const { asked, stream } = relaying(t, { answers: [upTo(4), []], probe });
		await until("it goes on", () => asked.length >= 2);
		assert.deepEqual([stream.numbers, asked[1]?.published], [[], []]);
	});

	it("pauses when the streams do not answer, but not when it stops", async t => {
		const stream = new FakeStream();
		let tries = 0;
		stream.before = () => {
			tries++;
			throw unavailable();
		};
		const { relay, asked } = relaying(t, { answers: [[1], [1], [1]], stream, settings: { pause: NEVER } });
		await until("it has tried", () => tries > 0);
		relay.nudge();
		await turns();
		assert.deepEqual([tries, asked.length], [1, 1]);
		await relay.stop();
		assert.equal(tries, 1);
	});

	it("that stops writes what the stream has refused", async t => {
		const stream = new FakeStream();
		const sending = Promise.withResolvers<void>();
		const refusing = Promise.withResolvers<void>();
		stream.before = () => {
			sending.resolve();
			return refusing.promise;
		};
		const { relay, asked } = relaying(t, { answers: [[1]], stream });
		await sending.promise;
		const stopped = relay.stop();
		refusing.reject(new ChannelError("MESSAGE_REFUSED", "The message is too large"));
		await stopped;
		assert.deepEqual(asked.at(-1)?.refused, [1]);
	});

	it("that stops while it publishes does not begin a pause, whatever comes of that", async t => {
		const stream = new FakeStream();
		const { promise, reject } = Promise.withResolvers<void>();
		let isSending = false;
		stream.before = () => {
			isSending = true;
			return promise;
		};
		const { relay } = relaying(t, { answers: [[1]], stream, settings: { pause: 1_000 } });
		await until("it sends", () => isSending);
		let isStopped = false;
		const stopped = relay.stop().then(() => {
			isStopped = true;
		});
		reject(unavailable());
		await turns();
		assert.ok(isStopped);
		await stopped;
	});
});
