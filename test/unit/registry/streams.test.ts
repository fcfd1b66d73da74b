import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import type { IEvent } from "etcd3";
import type { KeepAliveStream, WatchStream } from "../../../mixins/etcd-registry/client.ts";
import { keepAlive } from "../../../mixins/etcd-registry/lease.ts";
import { HistoryLost, watch } from "../../../mixins/etcd-registry/watch.ts";

/** Stands for a gRPC stream: what is written is kept, what is emitted comes from etcd. */
class FakeStream extends EventEmitter {
	readonly written: unknown[] = [];
	cancelled = false;

	write(item: unknown): void {
		this.written.push(item);
	}

	end(): void {}

	cancel(): void {
		this.cancelled = true;
	}
}

describe("A watch", () => {
	function start() {
		const stream = new FakeStream();
		const abort = new AbortController();
		const heard: string[] = [];
		const ended = watch(
			stream as unknown as WatchStream,
			{ prefix: "moleculer/", startRevision: 101 },
			abort.signal,
			() => heard.push("created"),
			(events, revision) => heard.push(`${events.length} events up to ${revision}`)
		);
		ended.catch(() => {});
		const respond = (response: object, revision = 100) =>
			stream.emit("data", { header: { revision: String(revision) }, events: [], compact_revision: "0", ...response });
		return { stream, abort, heard, ended, respond };
	}

	it("asks for all keys with the prefix from the revision on, and passes on what comes", () => {
		const { stream, heard, respond } = start();
		const [request] = stream.written as [
			{ create_request: { key: Buffer; range_end: Buffer; start_revision: number } }
		];
		assert.equal(request.create_request.key.toString(), "moleculer/");
		assert.equal(request.create_request.range_end.toString(), "moleculer0");
		assert.equal(request.create_request.start_revision, 101);

		respond({ created: true });
		respond({ events: [{} as IEvent, {} as IEvent] }, 105);
		respond({}, 106);
		assert.deepEqual(heard, ["created", "2 events up to 105"]);
	});

	for (const [title, response, revision, expected] of [
		["went back before the last revision seen", { created: true }, 99, { dataLost: true }],
		["has compacted the revision", { canceled: true, created: true, compact_revision: "150" }, 200, { dataLost: false }]
	] as const) {
		it(`ends with the history lost when etcd ${title}`, async () => {
			const { stream, heard, ended, respond } = start();
			respond(response, revision);
			await assert.rejects(ended, error => error instanceof HistoryLost && error.dataLost === expected.dataLost);
			assert.deepEqual(heard, []);
			assert.ok(stream.cancelled);
		});
	}

	it("ends when etcd cancels it, when the stream breaks or ends, and when it is told to", async () => {
		const one = start();
		one.respond({ canceled: true, cancel_reason: "permission denied" });
		await assert.rejects(one.ended, /permission denied/);

		const two = start();
		two.stream.emit("error", new Error("broken"));
		await assert.rejects(two.ended, /broken/);

		const three = start();
		three.stream.emit("end");
		await assert.rejects(three.ended, /ended/);

		const four = start();
		four.abort.abort(new Error("enough"));
		await assert.rejects(four.ended, /enough/);
		four.respond({ events: [{} as IEvent] }, 105);
		assert.deepEqual(four.heard, []);
	});
});

describe("A lease", () => {
	const TTL = 0.05; // seconds, so that a renewal is due every 20 ms

	function start() {
		const stream = new FakeStream();
		const abort = new AbortController();
		let renewals = 0;
		const over = keepAlive(stream as unknown as KeepAliveStream, "7", TTL, abort.signal, () => {
			renewals++;
		});
		over.catch(() => {});
		return { stream, abort, over, renewals: () => renewals };
	}

	it("is renewed at once and then again and again", async () => {
		const { stream, abort, over, renewals } = start();
		assert.deepEqual(stream.written, [{ ID: "7" }]);
		const answering = setInterval(() => stream.emit("data", { ID: "7", TTL: "5" }), 1);
		while (stream.written.length < 4) await new Promise(resolve => setImmediate(resolve));
		clearInterval(answering);
		abort.abort(new Error("enough"));
		await assert.rejects(over, /enough/);
		assert.ok(renewals() > 0);
		assert.ok(stream.cancelled);
	});

	it("is over when etcd says that it is gone", async () => {
		const { stream, over } = start();
		stream.emit("data", { ID: "7", TTL: "0" });
		assert.equal(await over, undefined);
	});

	it("has failed when a renewal is not answered by the time of the next, or the stream breaks", async () => {
		await assert.rejects(start().over, /does not answer/);
		const { stream, over } = start();
		stream.emit("error", new Error("broken"));
		await assert.rejects(over, /broken/);
	});

	it("survives an event loop that was blocked while the answer waited", async () => {
		const { stream, over } = start();
		const end = Date.now() + 60;
		while (Date.now() < end);
		setImmediate(() => stream.emit("data", { ID: "7", TTL: "5" }));
		const outcome = await Promise.race([
			over.then(() => "over"),
			new Promise(resolve => setTimeout(resolve, 5, "alive"))
		]);
		assert.equal(outcome, "alive");
		stream.emit("data", { ID: "7", TTL: "0" });
		await over;
	});
});
