import { type Span, TracerExporters } from "moleculer";

export interface ZipkinExporterOptions {
	/** The server, e.g. `http://zipkin:9411`. */
	baseURL: string;
	defaultTags: Record<string, string>;
}

/** Spans that wait for the next sending, at most. */
const MAX_QUEUED = 5000;

interface Payload {
	traceId: string;
	kind: string;
	tags: Record<string, string>;
}

/** moleculer's Zipkin exporter with trace ids of 128 bits, a bounded queue, and errors without their text. */
export class ZipkinExporter extends TracerExporters.Zipkin {
	/** Spans that wait. */
	declare queue: Span[];

	constructor(options: ZipkinExporterOptions) {
		super({ ...options, interval: 1 });
	}

	override spanFinished(span: Span): void {
		if (this.queue.length < MAX_QUEUED) super.spanFinished(span);
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
		this.flush();
		await super.stop();
	}
}
