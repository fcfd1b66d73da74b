import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect, type NatsConnection, NatsError } from "nats";
import { natsHeaders } from "../../../mixins/channels/jetstream/headers.ts";
import { StreamPublisher } from "../../../mixins/channels/jetstream/publisher.ts";
import { startNats } from "../../../scripts/servers/nats.ts";
import { requireServers } from "../../support/servers.ts";

const { skip } = await requireServers("nats");
const NEVER = 3_600_000;

describe("A stream publisher", { skip }, () => {
	let server: Awaited<ReturnType<typeof startNats>>;
	let connection: NatsConnection;
	const connected = () => connect({ servers: server.url });
	const publish = (publisher: StreamPublisher, id: string, subject = "facts.counted", data = "{}") =>
		publisher.publish(subject, data, natsHeaders({ "Nats-Msg-Id": id, "Nats-Expected-Stream": "FACTS" }));
	const code = (expected: string) => (error: unknown) => error instanceof NatsError && error.code === expected;

	before(async () => {
		server = await startNats({ jetstream: true });
		connection = await connected();
		const manager = await connection.jetstreamManager();
		await manager.streams.add({ name: "FACTS", subjects: ["facts.*"], max_msg_size: 1000 });
		await manager.streams.add({ name: "OTHERS", subjects: ["others.*"] });
	});
	after(async () => {
		await connection?.close();
		await server?.stop();
	});

	it("gives each of many messages at once its own acknowledgement, and says which the stream had already", async () => {
		const publisher = new StreamPublisher(connection, NEVER, {});
		const ids = Array.from({ length: 500 }, (_, i) => `message ${i}`);
		const first = await Promise.all(ids.map(id => publish(publisher, id)));
		assert.deepEqual(
			first.map(({ seq }) => seq),
			ids.map((_, i) => i + 1)
		);
		const again = await publish(publisher, "message 7");
		assert.deepEqual([again.seq, again.duplicate], [8, true]);
		assert.equal(first[7]?.duplicate, false);
	});

	it("tells why a stream refuses a message", async () => {
		const publisher = new StreamPublisher(connection, NEVER, {});
		const apiError = (expected: number) => (error: unknown) =>
			error instanceof NatsError && error.api_error?.err_code === expected;
		await assert.rejects(publish(publisher, "too large", "facts.counted", "x".repeat(2000)), apiError(10_054));
		await assert.rejects(publish(publisher, "another stream's", "others.counted"), apiError(10_060));
		await assert.rejects(publish(publisher, "nobody's", "nowhere"), code("503"));
		const { max_payload: most = 0 } = connection.info ?? {};
		await assert.rejects(
			publish(publisher, "too large to be sent", "facts.counted", "x".repeat(most + 1)),
			code("MAX_PAYLOAD_EXCEEDED")
		);
	});

	it("believes nobody but a stream", async () => {
		const publisher = new StreamPublisher(connection, NEVER, {});
		const answers = ["not JSON", "null", "{}", '{"seq":"a lot"}'];
		const stranger = connection.subscribe("answered", {
			callback: (_error, message) => void message.respond(answers.shift() ?? "")
		});
		for (let i = 0; i < 5; i++)
			await assert.rejects(publish(publisher, `answered ${i}`, "answered"), code("JESTREAM_INVALID_ACK"));
		stranger.unsubscribe();
	});

	it("gives a message up whose acknowledgement is late, and takes a later one's", async () => {
		const publisher = new StreamPublisher(connection, 200, {});
		const received: string[] = [];
		const silent = connection.subscribe("silent", { callback: (_error, { reply = "" }) => void received.push(reply) });
		await assert.rejects(publish(publisher, "unanswered", "silent"), code("TIMEOUT"));
		const second = assert.rejects(publish(publisher, "also unanswered", "silent"), code("TIMEOUT"));
		connection.publish(received[0] as string, JSON.stringify({ stream: "FACTS", seq: 1 }));
		assert.equal((await publish(publisher, "in time")).duplicate, false);
		await second;
		silent.unsubscribe();
	});

	it("gives each message its own time, also where no other one follows", async () => {
		const publisher = new StreamPublisher(connection, 50, {});
		const silent = connection.subscribe("silent", { callback: () => {} });
		const given: Promise<void>[] = [];
		for (let i = 0; i < 100; i++) {
			given.push(assert.rejects(publish(publisher, `unanswered ${i}`, "silent"), code("TIMEOUT")));
			await connection.flush();
		}
		await Promise.all(given);
		silent.unsubscribe();
	});

	it("rejects what is on its way when it may not hear the answers", async t => {
		const user = 'user: a, password: a, permissions: { publish: ">", subscribe: { deny: "_INBOX.>" } }';
		const strict = await startNats({ config: `authorization { users: [{ ${user} }] }` });
		t.after(() => strict.stop());
		const own = await connect({ servers: new URL(strict.url).host, user: "a", pass: "a" });
		t.after(() => own.close());
		await assert.rejects(publish(new StreamPublisher(own, NEVER, {}), "unheard"), code("PERMISSIONS_VIOLATION"));
	});

	it("rejects what is on its way when its connection is closed", async () => {
		const own = await connected();
		const publisher = new StreamPublisher(own, NEVER, {});
		const silent = connection.subscribe("silent", { callback: () => {} });
		await connection.flush();
		const waiting = assert.rejects(publish(publisher, "unanswered", "silent"), code("CONNECTION_CLOSED"));
		await own.flush();
		await own.close();
		await waiting;
		await assert.rejects(publish(publisher, "after the end"), code("CONNECTION_CLOSED"));
		silent.unsubscribe();
	});
});
