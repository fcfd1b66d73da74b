import { join } from "node:path";
import { after, before, describe } from "node:test";
import { type BrokerOptions, ServiceBroker, type ServiceSchema } from "moleculer";
import { connect } from "nats";
import type { Channels } from "../../mixins/channels/channels.ts";
import type { ConsumerDefinition, OutgoingMessage, StreamDefinition } from "../../mixins/channels/transport.ts";
import { type ChannelHandler, ChannelsMixin, type ChannelsOptions } from "../../mixins/channels.mixin.ts";
import { ulid } from "../../mixins/outbox/ulid.ts";
import { temporaryFolder } from "../../scripts/servers/leftovers.ts";
import { startNats } from "../../scripts/servers/nats.ts";
import type { LocalServer } from "../../scripts/servers/server.ts";
import { requireServers } from "./servers.ts";

/** One kind of place for streams, for a suite that runs on both. */
export interface StreamPlace {
	readonly kind: "jetstream" | "file";
	/** The URL of a place with no streams. */
	create(): Promise<string>;
	/** The server, where there is one. */
	readonly server?: LocalServer;
}

/** Runs a suite once on JetStream and once on streams in a file. */
export async function onEachStreamPlace(name: string, suite: (place: StreamPlace) => void): Promise<void> {
	const { skip } = await requireServers("nats");
	describe(`${name}, in a file`, () => {
		const folder = temporaryFolder("streams");
		let count = 0;
		suite({ kind: "file", create: async () => `file:${join(folder, `${++count}.sqlite`)}` });
	});
	describe(`${name}, on JetStream`, { skip }, () => suite(jetStream()));
}

/** A NATS server for the suite around the call; `create` removes what earlier tests left. */
export function jetStream(): StreamPlace & { server: LocalServer } {
	let server: LocalServer;
	before(async () => {
		server = await startNats({ jetstream: true });
	});
	after(() => server?.stop());
	return {
		kind: "jetstream",
		async create() {
			const connection = await connect({ servers: server.url });
			const manager = await connection.jetstreamManager();
			for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name);
			await connection.close();
			return server.url;
		},
		get server() {
			return server;
		}
	};
}

export const streams: StreamDefinition[] = [
	{ name: "FACTS", subjects: ["fact.>"], maxAge: 3600 },
	{ name: "DEAD", subjects: ["dead.>"], maxAge: 3600 }
];

/** A consumer with times that suit a test. */
export function consumer(changes: Partial<ConsumerDefinition> = {}): ConsumerDefinition {
	return { name: "reader", stream: "FACTS", ackWait: 1_000, maxAttempts: 3, retryDelay: 20, ...changes };
}

/** What can be ended with the test that began it. */
interface Ends {
	after(end: () => Promise<void>): void;
}

/** A running service with channels. */
export interface Running {
	broker: ServiceBroker;
	channels: Channels;
	stop(): Promise<void>;
}

interface RunOptions extends Partial<ChannelsOptions> {
	definition?: ConsumerDefinition;
	handler?: ChannelHandler<{ n: number }>;
	broker?: BrokerOptions;
	schema?: Partial<ServiceSchema>;
}

/** Starts a service that publishes and, with a handler, consumes; it stops with the test. */
export async function run(t: Ends, url: string, options: RunOptions = {}): Promise<Running> {
	const { definition = consumer(), handler, broker: brokerOptions, schema, ...rest } = options;
	const broker = new ServiceBroker({ logger: false, ...brokerOptions });
	const service = broker.createService({
		name: "reader",
		mixins: [ChannelsMixin({ url: () => url, streams, consumers: [definition], ...rest })],
		...(handler && { channels: { [definition.name]: handler } }),
		...schema
	});
	await broker.start();
	let stopped: Promise<void> | undefined;
	const stop = () => (stopped ??= broker.stop());
	t.after(stop);
	return { broker, channels: (service as unknown as { channels: Channels }).channels, stop };
}

/** A message about a number. */
export function fact(n: number, changes: Partial<OutgoingMessage> = {}): OutgoingMessage {
	const id = ulid();
	return {
		stream: "FACTS",
		subject: "fact.counted",
		id,
		data: JSON.stringify({ n }),
		...changes,
		headers: { "event-id": changes.id ?? id, ...changes.headers }
	};
}
