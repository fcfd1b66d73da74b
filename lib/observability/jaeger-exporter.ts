import { setTimeout as delay } from "node:timers/promises";
import jaeger, { type RemoteReporter, type ReportedSpan, type Sender } from "jaeger-client";
import udpSender from "jaeger-client/dist/src/reporters/udp_sender.js";
import { type Span, type Tracer, TracerExporters } from "moleculer";
import { ExportHealth } from "./export-health.ts";
import { count } from "./instruments.ts";
import { JaegerHttpSender } from "./jaeger-http-sender.ts";

interface JaegerExporterOptions {
	/** Collector for Thrift over HTTP. Without it spans go to an agent over UDP. */
	endpoint?: string;
	host?: string;
	port?: number;
	/** Tags of the process, beside the node's id. */
	processTags: Record<string, string>;
}

/** How long the last spans may keep a process from ending. */
const STOP_TIMEOUT_MS = 2000;

/** The flag of a span that is to be kept. */
const SAMPLED = 1;

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/** Tags of moleculer's that say again what the span, its process or its parent says. */
const REDUNDANT = new Set([
	"requestID",
	"nodeID",
	"action.rawName",
	"callingLevel",
	"options.timeout",
	"options.retries"
]);

/** One of a service, by jaeger-client. Its reporter has no other way out. */
interface JaegerTracer {
	_reporter: RemoteReporter;
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

	constructor({ processTags, ...options }: JaegerExporterOptions) {
		// moleculer reads it, its types do not have it.
		const untyped = { legacyMode: false };
		super({ ...options, ...untyped });
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

	/**
	 * Hands a span to jaeger-client's reporter as it is. The base class makes a second span of it, by way of jaeger-client's
	 * tracer and a deep merge of the tags, which costs as much as all the rest of a span (bench/observability).
	 */
	override generateJaegerSpan(span: Span): void {
		const { _reporter } = this.getTracer(span.service?.fullName ?? "no-service") as JaegerTracer;
		_reporter.report({
			_operationName: span.name,
			_spanContext: {
				traceId: bytesOf(span.traceID, TRACE_ID_BYTES),
				spanId: bytesOf(span.id, SPAN_ID_BYTES),
				parentId: span.parentID ? bytesOf(span.parentID, SPAN_ID_BYTES) : undefined,
				flags: SAMPLED
			},
			_references: [],
			_startTime: span.startTime ?? 0,
			_duration: span.duration ?? 0,
			_tags: this.#tagsOf(span),
			_logs: []
		});
	}

	#tagsOf({ tags, error }: Span): ReportedSpan["_tags"] {
		const all = {
			"span.kind": "server",
			...this.flattenTags(tags),
			...(error && { error: true, ...this.flattenTags({ error: this.errorToObject(error) }) })
		};
		return Object.entries(all).flatMap(([key, value]) => (value == null || REDUNDANT.has(key) ? [] : { key, value }));
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

/**
 * The first bytes of an id, in memory of its own: Buffer.from() takes it from Node's pool, and a span waits for up to a
 * second, with all the 64 KB of it, past V8's minor collections. One span in a hundred requests kept nearly every pool.
 */
function bytesOf(id: string, length: number): Buffer {
	const bytes = Buffer.alloc(length);
	bytes.write(id.replaceAll("-", ""), "hex");
	return bytes;
}
