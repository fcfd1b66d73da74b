import { setTimeout as delay } from "node:timers/promises";
import { type Span, TracerExporters } from "moleculer";
import { ExportHealth } from "./export-health.ts";
import { count } from "./instruments.ts";
import { postSpans } from "./post-spans.ts";

interface ZipkinExporterOptions {
	/** The server, e.g. `http://zipkin:9411`. */
	baseURL: string;
	defaultTags: Record<string, string>;
}

/** Spans that wait for the next sending, at most. */
const MAX_QUEUED = 5000;
const TIMEOUT_MS = 5000;
/** How long the last spans may keep a process from ending. */
const STOP_TIMEOUT_MS = 2000;

interface Payload {
	traceId: string;
	kind: string;
	tags: Record<string, string>;
}

/**
 * moleculer's Zipkin exporter with trace ids of 128 bits, errors without their text, and manners towards a server that is
 * away or slow: one request at a time with an end to it, a bounded queue, one warning, and a stop that waits for the last spans.
 */
export class ZipkinExporter extends TracerExporters.Zipkin {
	/** Spans that wait. */
	declare queue: Span[];
	declare generateTracingData: () => Payload[];
	readonly #url: string;
	readonly #timeout: number;
	readonly #health: ExportHealth;
	#request: Promise<void> | undefined;

	/** @param timeout of a request, in milliseconds */
	constructor(options: ZipkinExporterOptions, timeout = TIMEOUT_MS) {
		super({ ...options, interval: 1 });
		this.#url = `${options.baseURL.replace(/\/$/, "")}/api/v2/spans`;
		this.#timeout = timeout;
		this.#health = new ExportHealth(new URL(options.baseURL).host, () => this.logger);
	}

	override spanFinished(span: Span): void {
		if (this.queue.length < MAX_QUEUED) super.spanFinished(span);
		else this.#lost(1, "too many spans wait");
	}

	override flush(): void {
		if (this.queue.length === 0 || this.#request) return;
		const spans = this.generateTracingData();
		this.queue.length = 0;
		this.#request = postSpans(this.#url, "application/json", JSON.stringify(spans), this.#timeout)
			.then(
				() => this.#health.sent(),
				({ message }: Error) => this.#lost(spans.length, message)
			)
			.finally(() => {
				this.#request = undefined;
			});
	}

	override makePayload(span: Span): Payload {
		const payload = super.makePayload(span) as Payload;
		const { name, type } = (span.error ?? {}) as { name?: string; type?: string };
		return {
			...payload,
			traceId: span.traceID,
			kind: String(span.tags["span.kind"] ?? payload.kind).toUpperCase(),
			tags: {
				...payload.tags,
				"node.id": this.broker.nodeID,
				// Zipkin shows a span as failed where the tag is there; the text of an error may quote a value.
				...(span.error && { error: type ?? name ?? "error" })
			}
		};
	}

	override async stop(): Promise<void> {
		await super.stop();
		await Promise.race([this.#sendTheRest(), delay(STOP_TIMEOUT_MS, undefined, { ref: false })]);
	}

	async #sendTheRest(): Promise<void> {
		await this.#request;
		this.flush();
		await this.#request;
	}

	#lost(spans: number, reason: string): void {
		this.#health.lost(spans, reason);
		count(this.broker, "tracing.spans.lost.total", {}, spans);
	}
}
