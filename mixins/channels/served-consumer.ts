import type { Context, Service } from "moleculer";
import type { Channels } from "./channels.ts";
import { REPLAY_FOR } from "./dead-letters.ts";
import { METRICS, showConsumer } from "./metrics.ts";
import type { ProbePoint } from "./observer.ts";
import { traceOf } from "./trace.ts";
import {
	ChannelError,
	type ConsumerDefinition,
	type Delivery,
	type StoredMessage,
	type Subscription
} from "./transport.ts";
import { Worker } from "./worker.ts";

/** A message as a handler gets it beside the context. */
export interface ChannelMessage extends StoredMessage {
	/** The id of the fact, the same in every delivery and replay. */
	id: string;
	/** From 1. */
	attempts: number;
}

/** Handles one message; a rejection means that it comes again. */
export type ChannelHandler<Payload = never, This = unknown> = (
	this: This,
	ctx: Context<Payload, Record<string, unknown>>,
	message: ChannelMessage
) => Promise<void>;

interface Options {
	service: Service;
	channels: Channels;
	definition: ConsumerDefinition;
	handler: ChannelHandler;
	probe?: (point: ProbePoint, delivery: Delivery) => void | Promise<void>;
}

const MEASURE_MS = 5_000;

/** One consumer in one service: subscription, worker, context of the handler, metrics. */
export class ServedConsumer {
	readonly #options: Options;
	readonly #handler: ChannelHandler;
	readonly #worker: Worker;
	readonly #subscription: Subscription;
	readonly #measuring: NodeJS.Timeout;

	constructor(options: Options) {
		const { service, channels, definition, handler, probe } = options;
		const { name, stream } = definition;
		const labels = { consumer: name };
		const { metrics, middlewares } = service.broker;
		showConsumer(service.broker, name);
		this.#options = options;
		this.#handler = middlewares.wrapHandler(
			"localChannel",
			handler.bind(service),
			definition as never
		) as ChannelHandler;
		this.#worker = new Worker({
			definition,
			handle: delivery => this.#handle(delivery),
			bury: (delivery, error) => this.#bury(delivery, error),
			observer: {
				redelivered: () => metrics.increment(METRICS.redeliveries, labels),
				buried: (delivery, error) => {
					metrics.increment(METRICS.deadLetters, labels);
					service.logger.error(`Message ${stream}:${delivery.seq} became a dead letter of ${name}`, error);
				},
				warn: (message, error) => service.logger.warn(message, error),
				probe
			}
		});
		this.#subscription = channels.transport.subscribe(
			definition,
			async () => {
				await channels.declare(stream, { again: true });
				await channels.transport.declareConsumer(definition);
			},
			delivery => this.#worker.accept(delivery)
		);
		this.#measuring = setInterval(() => this.#measure(), MEASURE_MS).unref();
	}

	/** Stops pulling, hands back what waits, and waits for the handlers. */
	async stop(patience: number): Promise<void> {
		clearInterval(this.#measuring);
		const ended = this.#worker.stop(patience);
		await this.#subscription.stop();
		const { service, definition } = this.#options;
		if (!(await ended)) service.logger.warn(`Consumer ${definition.name}: a handler did not end in ${patience} ms`);
	}

	async #handle(delivery: Delivery): Promise<void> {
		const { service, definition } = this.#options;
		if (delivery.unsealed) throw unsealed();
		const replayFor = delivery.headers[REPLAY_FOR];
		if (replayFor !== undefined && replayFor !== definition.name) return;

		const ctx = this.#context(delivery);
		const { tracing, requestID, parentID } = ctx as Context & { parentID: string | null };
		const span = service.broker.isTracingEnabled()
			? ctx.startSpan(`channel '${definition.name}'`, {
					id: ctx.id,
					type: "channel",
					service,
					sampled: tracing ?? undefined,
					traceID: requestID ?? ctx.id,
					parentID: parentID ?? undefined,
					tags: { subject: delivery.subject, seq: delivery.seq, attempt: delivery.attempts }
				})
			: undefined;
		const stop = service.broker.metrics.timer(METRICS.handled, { consumer: definition.name });
		const { headers, stream, seq } = delivery;
		const message: ChannelMessage = { ...delivery, id: headers["event-id"] ?? `${stream}:${seq}` };
		try {
			await this.#handler(ctx as Context<never, Record<string, unknown>>, message);
		} catch (error) {
			if (span && error instanceof Error) span.setError(error);
			throw error;
		} finally {
			stop();
			if (span) ctx.finishSpan(span);
		}
	}

	/** A context in the trace of whoever made the message. */
	#context({ data, headers }: Delivery): Context {
		const { service } = this.#options;
		const { broker } = service;
		const trace = traceOf(headers);
		const ctx = broker.ContextFactory.create(broker, null as never, parsed(data), {
			...(trace && { requestID: trace.requestID })
		});
		ctx.service = service;
		if (trace) Object.assign(ctx, { parentID: trace.parentID, tracing: trace.sampled });
		if (headers["x-caller"]) ctx.caller = headers["x-caller"];
		return ctx;
	}

	async #bury(delivery: Delivery, error: unknown): Promise<void> {
		const { channels, definition } = this.#options;
		await channels.deadLetters.bury(delivery, definition.name, error);
	}

	#measure(): void {
		const { service, channels, definition } = this.#options;
		const labels = { consumer: definition.name };
		channels.transport.consumerState(definition).then(
			({ waiting, pending }) => {
				service.broker.metrics.set(METRICS.waiting, waiting, labels);
				service.broker.metrics.set(METRICS.pending, pending, labels);
			},
			error => service.logger.debug(`Consumer ${definition.name} can not be measured`, error)
		);
	}
}

function unsealed(): Error {
	const error = new ChannelError("MESSAGE_UNSEALED", "The message has no valid seal");
	return Object.assign(error, { retryable: false });
}

/** What is not JSON will never be. */
function parsed(data: string): object {
	try {
		return JSON.parse(data);
	} catch (cause) {
		throw Object.assign(new Error("The message is not JSON", { cause }), { retryable: false });
	}
}
