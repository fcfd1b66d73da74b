import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { type BrokerOptions, ServiceBroker } from "moleculer";
import { readEnv } from "../../lib/env.ts";
import { sealedPackets } from "../../lib/sealed-packets.ts";
import { NatsTransporter } from "../../mixins/etcd-registry/index.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { quiet } from "../support/app.ts";
import { Log } from "../support/log.ts";
import { requireServers } from "../support/servers.ts";

const KB = 1024;
const MB = 1024 * KB;
const { skip } = await requireServers("nats");

const library = {
	name: "library",
	actions: {
		page: ({ params }: { params: { size: number } }) => "x".repeat(params.size),
		failure({ params }: { params: { size: number } }) {
			throw new Error("x".repeat(params.size));
		},
		stream: ({ params }: { params: { size: number } }) => Readable.from([Buffer.alloc(params.size)]),
		echoLength: ({ params }: { params: { text: string } }) => params.text.length
	}
};

describe("An answer between two nodes whose packets are sealed", { skip }, () => {
	let nats: LocalServer;
	let brokers: ServiceBroker[];
	let caller: ServiceBroker;

	before(async () => {
		nats = await startNats({ config: "max_payload: 1MB" });
		const node = (nodeID: string, options: BrokerOptions = {}) =>
			new ServiceBroker(
				quiet({
					nodeID,
					transporter: new NatsTransporter(nats.url),
					requestTimeout: 600_000,
					...options,
					middlewares: [sealedPackets([{ name: "one", secret: "s".repeat(32) }])]
				})
			);
		const owner = node("owner");
		caller = node("caller");
		owner.createService(library);
		brokers = [owner, caller];
		await Promise.all(brokers.map(broker => broker.start()));
		await caller.waitForServices("library", 10_000);
	});
	after(async () => {
		await Promise.all(brokers?.map(broker => broker.stop()) ?? []);
		await nats?.stop();
	});

	const tooLarge = {
		name: "MoleculerError",
		code: 500,
		type: "ANSWER_TOO_LARGE",
		retryable: false,
		nodeID: "owner"
	};

	it("comes as it is where NATS takes it", async () => {
		assert.equal((await caller.call<string, object>("library.page", { size: 900 * KB })).length, 900 * KB);
	});

	for (const action of ["page", "failure"])
		it(`fails at once where NATS does not: ${action}`, { timeout: 60_000 }, async () => {
			await assert.rejects(caller.call(`library.${action}`, { size: MB }), tooLarge);
			assert.equal(await caller.call("library.echoLength", { text: "still there" }), 11);
		});

	it("comes as a stream, whatever its length", async () => {
		const stream = await caller.call<Readable, object>("library.stream", { size: 3 * MB });
		let length = 0;
		for await (const chunk of stream) length += (chunk as Buffer).length;
		assert.equal(length, 3 * MB);
	});

	it("is not what a request is told that is too large itself", { timeout: 60_000 }, async () => {
		await assert.rejects(caller.call("library.echoLength", { text: "x".repeat(MB) }), { code: "MAX_PAYLOAD_EXCEEDED" });
	});
});

describe("The NATS of a mesh", { skip }, () => {
	async function warnings(config?: string): Promise<string[]> {
		await using nats = await startNats({ config });
		const logger = new Log();
		const options = brokerOptions(readEnv({ NODE_ENV: "test", NATS_URL: nats.url }));
		const broker = new ServiceBroker({ ...options, logger, registry: { stopDelay: 0 } });
		broker.createService(library);
		await broker.start();
		await broker.stop();
		return logger.texts("warn").filter(text => text.includes("max_payload"));
	}

	it("that takes packets of a megabyte only is warned of once", async () => {
		assert.equal((await warnings("max_payload: 1MB")).length, 1);
	});

	it("takes the largest page of notes, in containers as on this machine", async () => {
		const text = await readFile("deploy/nats/nats-server.conf", "utf8");
		const [limit] = /^max_payload: .*$/m.exec(text) ?? [];
		for (const config of [limit, undefined]) assert.deepEqual(await warnings(config), []);
	});
});
