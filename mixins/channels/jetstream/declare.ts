import {
	AckPolicy,
	type ConsumerConfig,
	DeliverPolicy,
	type JetStreamManager,
	NatsError,
	nanos,
	ReplayPolicy,
	RetentionPolicy,
	StorageType,
	type StreamConfig,
	type StreamInfo
} from "nats";
import { type ConsumerDefinition, duplicateWindowOf, type StreamDefinition, withDefaults } from "../transport.ts";

/** JetStream's numbers for "there is no such stream" and "... consumer", https://docs.nats.io/reference/reference-protocols/nats_api_reference */
const STREAM_NOT_FOUND = 10_059;
const CONSUMER_NOT_FOUND = 10_014;

/** The number of a JetStream API error, undefined for any other. */
export function apiErrorOf(error: unknown): number | undefined {
	return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

export function isStreamMissing(error: unknown): boolean {
	return apiErrorOf(error) === STREAM_NOT_FOUND;
}

type Told = (message: string) => void;

/** Creates a stream, or changes what differs from its definition and tells about it. */
export async function declareStream(
	manager: JetStreamManager,
	definition: StreamDefinition,
	tell: Told
): Promise<StreamInfo> {
	const wanted = streamConfig(definition);
	const found = await manager.streams.info(definition.name).catch(unless(STREAM_NOT_FOUND));
	if (!found) return manager.streams.add(wanted);
	const differences = differing(wanted, found.config);
	if (differences.length === 0) return found;
	tell(`Stream ${definition.name} is changed to its definition: ${differences.join(", ")}`);
	return manager.streams.update(definition.name, { ...found.config, ...wanted });
}

/** Creates a durable pull consumer, or changes what differs from its definition and tells about it. */
export async function declareConsumer(
	manager: JetStreamManager,
	definition: ConsumerDefinition,
	tell: Told
): Promise<void> {
	const { stream, name } = definition;
	const wanted = consumerConfig(definition);
	const found = await manager.consumers.info(stream, name).catch(unless(CONSUMER_NOT_FOUND));
	if (!found) {
		await manager.consumers.add(stream, wanted);
		return;
	}
	const differences = differing(wanted, found.config);
	if (differences.length === 0) return;
	tell(`Consumer ${stream}/${name} is changed to its definition: ${differences.join(", ")}`);
	await manager.consumers.update(stream, name, { ...found.config, ...wanted });
}

function streamConfig(definition: StreamDefinition) {
	const { name, subjects, maxAge, appendOnly = false, replicas = 1 } = definition;
	return {
		name,
		subjects: [...subjects],
		max_age: nanos(maxAge * 1000),
		duplicate_window: nanos(duplicateWindowOf(definition) * 1000),
		retention: RetentionPolicy.Limits,
		storage: StorageType.File,
		num_replicas: replicas,
		allow_direct: true,
		deny_delete: appendOnly,
		deny_purge: appendOnly
	} satisfies Partial<StreamConfig>;
}

function consumerConfig(definition: ConsumerDefinition) {
	const { name, subject, ackWait, maxAckPending } = withDefaults(definition);
	return {
		durable_name: name,
		ack_policy: AckPolicy.Explicit,
		// "new" would lose what was published before the first subscriber came.
		deliver_policy: DeliverPolicy.All,
		replay_policy: ReplayPolicy.Instant,
		ack_wait: nanos(ackWait),
		max_ack_pending: maxAckPending,
		// The worker decides when a message is dead: only it can store it elsewhere first.
		max_deliver: -1,
		// Said in any case: left out, a filter that the consumer had would stay, and pass messages over.
		filter_subject: subject === ">" ? undefined : subject
	} satisfies Partial<ConsumerConfig>;
}

/** The names of the settings that are not as wanted. The server leaves out what is false or empty. */
function differing(wanted: object, found: object): string[] {
	const actual = found as Record<string, unknown>;
	return Object.entries(wanted)
		.filter(
			([name, value]) => JSON.stringify(value) !== JSON.stringify(actual[name] ?? (value === false ? false : undefined))
		)
		.map(([name]) => name);
}

function unless(code: number) {
	return (error: unknown): undefined => {
		if (apiErrorOf(error) !== code) throw error;
	};
}
