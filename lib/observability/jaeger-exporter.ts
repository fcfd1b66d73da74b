import { setTimeout as delay } from "node:timers/promises";
import jaeger, { type RemoteReporter, type Sender } from "jaeger-client";
import udpSender from "jaeger-client/dist/src/reporters/udp_sender.js";
import { type Span, type Tracer, TracerExporters } from "moleculer";
import { ExportHealth } from "./export-health.ts";
import { count } from "./instruments.ts";
import { JaegerHttpSender } from "./jaeger-http-sender.ts";

export interface JaegerExporterOptions {
	/** Collector for Thrift over HTTP. Without it spans go to an agent over UDP. */
	endpoint?: string;
	host?: string;
	port?: number;
	/** Tags of the process, beside the node's id. */
	processTags: Record<string, string>;
}

/** How long the last spans may keep a process from ending. */
const STOP_TIMEOUT_MS = 2000;

interface JaegerTracer {
	close(callback: () => void): void;
}

/**
 * moleculer's Jaeger exporter with trace ids of 128 bits, one warning for a collector that is away, bounded memory, the
 * kind that a span says it has, and a stop that waits for the last spans. It exports what moleculer has sampled; a
 * sampler of Jaeger's own would decide again, and for the spans without a parent only.
 */
export class JaegerExporter extends TracerExporters.Jaeger {
	/** One per service, by name. */
	declare tracers: Record<string, JaegerTracer>;
	readonly #processTags: Record<string, string>;
	readonly #health: ExportHealth;
	readonly #httpSenders: JaegerHttpSender[] = [];
	#kind = "";

	constructor({ processTags, ...options }: JaegerExporterOptions) {
		super({ ...options, ...{ legacyMode: false } });
		const { endpoint, host, port } = this.opts;
		this.#processTags = processTags;
		this.#health = new ExportHealth(endpoint ? new URL(endpoint).host : `${host}:${port}`, () => this.logger);
	}

	override init(tracer: Tracer): void {
		this.opts.tracerOptions = { tags: { ...this.#processTags, "node.id": tracer.broker.nodeID } };
		super.init(tracer);
	}

	override async stop(): Promise<void> {
		await Promise.race([this.#sendTheRest(), delay(STOP_TIMEOUT_MS, undefined, { ref: false })]);
	}

	override getReporter(): RemoteReporter {
		let reason = "";
		const success = { increment: (spans: number) => spans > 0 && this.#health.sent() };
		const failure = {
			increment: (spans: number) => {
				this.#health.lost(spans, reason);
				count(this.broker, "tracing.spans.lost.total", {}, spans);
			}
		};
		return new jaeger.RemoteReporter(this.#sender(), {
			logger: {
				info: () => {},
				error: message => {
					reason = message.replace(/^Failed to \w+ spans in reporter: /, "");
				}
			},
			metrics: { reporterSuccess: success, reporterFailure: failure, reporterDropped: failure }
		});
	}

	/** Every span would be of kind "server". */
	override generateJaegerSpan(span: Span): unknown {
		this.#kind = typeof span.tags["span.kind"] === "string" ? span.tags["span.kind"] : "server";
		return super.generateJaegerSpan(span);
	}

	override addTags(span: unknown, key: string, value: unknown, prefix?: string): void {
		super.addTags(span, key, key === "span.kind" ? this.#kind : value, prefix);
	}

	#sender(): Sender {
		const { endpoint, host = "", port = 0 } = this.opts;
		// What it logs it also hands to the callback.
		if (!endpoint) return new udpSender.default({ host, port, logger: { error: () => {} } });
		const sender = new JaegerHttpSender(endpoint);
		this.#httpSenders.push(sender);
		return sender;
	}

	async #sendTheRest(): Promise<void> {
		await Promise.all(this.#httpSenders.map(sender => sender.idle));
		const tracers = Object.values(this.tracers);
		await Promise.all(tracers.map(tracer => new Promise<void>(resolve => tracer.close(resolve))));
	}
}
