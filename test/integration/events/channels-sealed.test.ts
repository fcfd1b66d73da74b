import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceBroker } from "moleculer";
import { sealedPackets } from "../../../lib/sealed-packets.ts";
import { consumers, streams } from "../../../lib/streams.ts";
import type { Channels } from "../../../mixins/channels/channels.ts";
import type { StoredMessage } from "../../../mixins/channels/transport.ts";
import type { ChannelMessage } from "../../../mixins/channels.mixin.ts";
import { NatsTransporter } from "../../../mixins/etcd-registry/index.ts";
import { RUNNER } from "../../../scripts/local-mesh.ts";
import { temporaryFolder } from "../../../scripts/servers/leftovers.ts";
import { consumer, fact, jetStream, onEachStreamPlace, run } from "../../support/channels.ts";
import { spawnNode } from "../../support/processes.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const OLD = "o".repeat(32);
const NEW = "n".repeat(32);

type Ends = Parameters<typeof run>[0];

await onEachStreamPlace("Sealed channels", place => {
	/** A reader that writes down what it gets and gives up at once; `channels` publish with its keys. */
	async function reader(t: Ends, url: string, keys: readonly string[], mesh = "") {
		const got: (ChannelMessage & { n: number })[] = [];
		const { channels, stop } = await run(t, url, {
			sealKeys: () => keys,
			mesh: () => mesh,
			definition: consumer({ maxAttempts: 1 }),
			async handler({ params: { n } }, message) {
				got.push({ n, ...message });
			}
		});
		return { channels, got, stop };
	}

	/** Publishes as who has these keys, and reads streams as they are. */
	async function publisher(t: Ends, url: string, keys: readonly string[] = []) {
		return (await run(t, url, { sealKeys: () => keys })).channels;
	}

	const lettersOf = async ({ deadLetters }: Channels) =>
		(await deadLetters.list()).map(({ data, error }) => [JSON.parse(data).n, error.code]);

	async function firstOf({ transport }: Channels): Promise<StoredMessage> {
		const message = await transport.next("FACTS", 1, ">");
		assert.ok(message);
		return message;
	}

	it("hand on what was sealed, headers and data as every transport leaves them", async t => {
		const url = await place.create();
		const { channels, got } = await reader(t, url, [NEW]);
		const headers = {
			source: "note",
			blanks: "  a  b ",
			lines: "a\r\nb\n",
			tab: "a\tb",
			letters: "Straße ☂",
			none: "",
			"X-Upper": "Case",
			"x-seal": "of somebody else"
		};
		const message = fact(1, { headers, data: JSON.stringify({ n: 1, text: "ä☂\r\n" }) });
		await channels.publish(message);
		await until("it is handled", () => got.length === 1);
		assert.deepEqual(got[0]?.headers, {
			"event-id": message.id,
			source: "note",
			blanks: "a  b",
			lines: "a b",
			tab: "a\tb",
			letters: "Straße ☂",
			none: "",
			"x-upper": "Case"
		});
		assert.equal(got[0]?.data, message.data);
		assert.equal((await firstOf(await publisher(t, url))).headers["x-seal"]?.length, 43);
	});

	it("seal nothing without a key", async t => {
		const url = await place.create();
		const { channels, got } = await reader(t, url, []);
		await channels.publish(fact(1));
		await until("it is handled", () => got.length === 1);
		assert.equal((await firstOf(channels)).headers["x-seal"], undefined);
	});

	it("take what any of the keys sealed, while they are rotated", async t => {
		const url = await place.create();
		const { got } = await reader(t, url, [NEW, OLD]);
		await (await publisher(t, url, [OLD, NEW])).publish(fact(1));
		await (await publisher(t, url, [NEW, OLD])).publish(fact(2));
		await until("both are handled", () => got.length === 2);
	});

	const forgeries: Record<string, (real: StoredMessage) => Partial<StoredMessage>> = {
		"has no seal": ({ headers: { "x-seal": _seal, ...headers } }) => ({ headers }),
		"has an empty seal": ({ headers }) => ({ headers: { ...headers, "x-seal": "" } }),
		"has half a seal": ({ headers }) => ({ headers: { ...headers, "x-seal": headers["x-seal"]?.slice(0, 20) ?? "" } }),
		"has other data": () => ({ data: '{"n":3}' }),
		"has another header": ({ headers }) => ({ headers: { ...headers, source: "user" } }),
		"has one header more": ({ headers }) => ({ headers: { ...headers, "x-replay-for": "reader" } }),
		"has one header less": ({ headers: { source: _source, ...headers } }) => ({ headers }),
		"has another subject": () => ({ subject: "fact.forged" })
	};
	for (const [what, forge] of Object.entries(forgeries))
		it(`bury what ${what}, and go on`, async t => {
			const url = await place.create();
			const { channels, got } = await reader(t, url, [NEW]);
			await channels.publish(fact(1, { headers: { source: "note" } }));
			await until("the real one is handled", () => got.length === 1);
			const stranger = await publisher(t, url);
			const forged = { ...(await firstOf(stranger)), ...forge(await firstOf(stranger)) };
			await stranger.publish({ ...forged, id: "forged" });
			await channels.publish(fact(2, { headers: { source: "note" } }));
			await until("the next one is handled", () => got.length === 2);
			await until("it is buried", async () => (await lettersOf(channels)).length === 1);
			assert.deepEqual(
				got.map(({ n }) => n),
				[1, 2]
			);
			assert.deepEqual(await lettersOf(channels), [[JSON.parse(forged.data).n, "MESSAGE_UNSEALED"]]);
		});

	it("bury what was sealed for another stream of the same place, or with another key", async t => {
		const url = await place.create();
		const { channels: green } = await reader(t, url, [NEW], "green");
		await green.publish(fact(1));
		const { channels, got } = await reader(t, url, [NEW], "blue");
		const stranger = await publisher(t, url);
		const { transport } = stranger;
		const real = await transport.next("green-FACTS", 1, ">");
		assert.ok(real);
		await transport.publish({ ...real, stream: "blue-FACTS", subject: "blue.fact.counted", id: "forged" });
		const { channels: other } = await run(t, url, { sealKeys: () => [OLD], mesh: () => "blue" });
		await other.publish(fact(2));
		await until("both are buried", async () => (await lettersOf(channels)).length === 2);
		assert.deepEqual(await lettersOf(channels), [
			[1, "MESSAGE_UNSEALED"],
			[2, "MESSAGE_UNSEALED"]
		]);
		assert.deepEqual(got, []);
	});

	it("replay one without a seal for who asks for that one only", async t => {
		const url = await place.create();
		const { channels, got } = await reader(t, url, [NEW]);
		const stranger = await publisher(t, url);
		await stranger.publish(fact(1));
		await until("it is buried", async () => (await lettersOf(channels)).length === 1);
		assert.deepEqual(await channels.deadLetters.replayAll(), []);
		const [letter] = await channels.deadLetters.list();
		assert.equal((await channels.deadLetters.replay(letter?.id ?? 0)).data, '{"n":1}');
		await until("it is handled", () => got.length === 1);
		assert.deepEqual(await lettersOf(channels), []);
	});

	it("keep a dead letter although a stranger published another one under its id, show that, and do not replay it", async t => {
		const url = await place.create();
		const { channels } = await reader(t, url, [NEW]);
		const stranger = await publisher(t, url);
		const about = { stream: "FACTS", seq: 9, subject: "fact.counted", headers: {}, time: 0, attempts: 1 };
		// Of one message id, a stream keeps the first.
		await stranger.deadLetters.bury({ ...about, data: '{"n":1}' }, "reader", new Error("by the stranger"));
		await channels.deadLetters.bury({ ...about, data: '{"n":2}' }, "reader", new Error("by a node"));
		assert.deepEqual(await lettersOf(channels), [
			[1, "MESSAGE_UNSEALED"],
			[2, ""]
		]);
		const [, own] = await channels.deadLetters.list();
		assert.deepEqual(await channels.deadLetters.replayAll(), [own?.id]);
		assert.deepEqual(await lettersOf(channels), [[1, "MESSAGE_UNSEALED"]]);
	});
});

describe("The audit log of a mesh with MESH_KEYS", await requireServers("nats"), () => {
	const place = jetStream();
	const record = (object_id: string) => ({
		time: "2026-01-01T00:00:00.000Z",
		user_id: 1,
		action: "note.create",
		object_type: "note",
		object_id,
		outcome: "done",
		error: null,
		request_id: "r",
		trace_id: "0".repeat(32),
		details: {}
	});

	it("has what nodes recorded, and nothing that a stranger published under their numbers", async t => {
		const url = await place.create();
		const MESH_KEYS = `mesh:${NEW}`;
		await using node = spawnNode({
			args: RUNNER,
			env: { NATS_URL: url, MESH_KEYS, SERVICEDIR: "services/audit", DATA_DIR: temporaryFolder("sealed") }
		});
		await node.waitForLine(/started successfully/);
		const middlewares = [sealedPackets([{ name: "mesh", secret: NEW }])];
		const broker = new ServiceBroker({ transporter: new NatsTransporter(url), middlewares, logger: false });
		await broker.start();
		t.after(() => broker.stop());
		await broker.waitForServices("audit");
		const shared = { streams, consumers };
		const { channels: stranger } = await run(t, url, shared);
		const { channels: note } = await run(t, url, { ...shared, sealKeys: () => [NEW] });
		const publish = (channels: Channels, id: string) =>
			channels.publish({
				stream: "AUDIT",
				subject: "audit.recorded",
				id,
				data: JSON.stringify(record(id)),
				headers: { "event-id": id, source: "note", "source-seq": "1" }
			});
		await publish(stranger, "forged");
		await publish(note, "real");
		const listed = async () => {
			const admin = { meta: { user: { id: 1, role: "admin", session_id: "s" } } };
			const { entries } = await broker.call<{ entries: { object_id: string }[] }, object>("audit.list", {}, admin);
			return entries.map(({ object_id }) => object_id);
		};
		await until("the real one is in the log", async () => (await listed()).length > 0);
		assert.deepEqual(await listed(), ["real"]);
		const [letter] = await note.deadLetters.list();
		assert.deepEqual([letter?.headers["event-id"], letter?.error.code], ["forged", "MESSAGE_UNSEALED"]);
	});
});
