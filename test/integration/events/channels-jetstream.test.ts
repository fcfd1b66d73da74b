import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, nanos } from "nats";
import { consumer, fact, jetStream, run, streams } from "../../support/channels.ts";
import { requireServers } from "../../support/servers.ts";
import { until } from "../../support/until.ts";

const { skip } = await requireServers("nats");

describe("Channels on JetStream", { skip }, () => {
	const place = jetStream();
	const manage = async (t: { after(end: () => Promise<void>): void }, url: string) => {
		const connection = await connect({ servers: url });
		t.after(() => connection.close());
		return connection.jetstreamManager();
	};

	it("C1: a stream and a consumer that differ from the table are changed to it, and what is in them stays", async t => {
		const url = await place.create();
		const first = await run(t, url, { definition: consumer({ ackWait: 5_000 }), handler: async () => {} });
		await first.channels.publish(fact(1));
		await first.stop();

		const changed = streams.map(stream => ({ ...stream, maxAge: 7200 }));
		const second = await run(t, url, {
			definition: consumer({ ackWait: 2_000 }),
			streams: changed,
			handler: async () => {}
		});
		await second.channels.publish(fact(2));
		const manager = await manage(t, url);
		const stream = await manager.streams.info("FACTS");
		assert.equal(stream.config.max_age, nanos(7_200_000));
		assert.equal(stream.state.messages, 2);
		await until("the consumer is changed", async () => {
			const { config } = await manager.consumers.info("FACTS", "reader");
			return config.ack_wait === nanos(2_000);
		});
	});

	it("C1: a consumer whose subject was taken away gets every message from then on", async t => {
		const url = await place.create();
		const first = await run(t, url, { definition: consumer({ subject: "fact.other" }), handler: async () => {} });
		await first.stop();
		const seen: number[] = [];
		const { channels } = await run(t, url, {
			definition: consumer(),
			handler: async ctx => void seen.push(ctx.params.n)
		});
		const manager = await manage(t, url);
		await until("the consumer is changed", async () => {
			const { config } = await manager.consumers.info("FACTS", "reader");
			return !config.filter_subject;
		});
		await channels.publish(fact(1));
		await until("the message", () => seen.includes(1));
	});

	it("C1: messages may be kept for less than the time for which ids are remembered by default", async t => {
		const url = await place.create();
		const { channels } = await run(t, url, { streams: streams.map(stream => ({ ...stream, maxAge: 60 })) });
		assert.equal((await channels.publish(fact(1))).seq, 1);
	});

	it("C9: a consumer that was deleted, and a stream that was deleted, are made again and messages flow", async t => {
		const url = await place.create();
		const seen = new Set<number>();
		const { channels } = await run(t, url, { handler: async ctx => void seen.add(ctx.params.n) });
		await channels.publish(fact(1));
		await until("the first", () => seen.has(1));

		const manager = await manage(t, url);
		await manager.consumers.delete("FACTS", "reader");
		await channels.publish(fact(2));
		await until("the second, after the consumer was gone", () => seen.has(2), 30_000);

		await manager.streams.delete("FACTS");
		await until(
			"the third, after the stream was gone",
			async () => {
				if (!seen.has(3)) await channels.publish(fact(3)).catch(() => {});
				return seen.has(3);
			},
			30_000
		);
	});

	it("C9: a service that starts before the server, and one whose server restarts, get every message", async t => {
		const url = await place.create();
		await place.server.stop();
		const seen = new Set<number>();
		const { channels } = await run(t, url, { handler: async ctx => void seen.add(ctx.params.n) });
		const early = channels.publish(fact(1));
		await place.server.start();
		await early;
		await until("the first", () => seen.has(1));

		await place.server.kill();
		const late = publishUntilStored(() => channels.publish(fact(2, { id: "late" })));
		await place.server.start();
		await late;
		await until("the second", () => seen.has(2), 30_000);
	});
});

async function publishUntilStored(publish: () => Promise<unknown>): Promise<void> {
	await until("stored", () =>
		publish().then(
			() => true,
			() => false
		)
	);
}
