import type { ServiceBroker, Span } from "moleculer";

/** What moleculer passes when it starts a span; its types leave `sampled` and `parentSpan`'s out. */
interface SpanOptions {
	id?: string;
	traceID?: string;
	parentID?: string;
	sampled?: boolean | null;
	parentSpan?: { traceID: string; sampled?: boolean | null };
}

type StartSpan = (name: string, options?: SpanOptions) => Span;

/** A span of a trace that is not recorded: it has the ids that go into logs and to other nodes, and nothing else. */
class UnsampledSpan {
	readonly id: string;
	readonly traceID: string;
	readonly sampled = false;
	readonly tags = {};
	readonly #startSpan: StartSpan;
	#active = true;

	constructor(id: string, traceID: string, startSpan: StartSpan) {
		this.id = id;
		this.traceID = traceID;
		this.#startSpan = startSpan;
	}

	startSpan(name: string, options?: SpanOptions): Span {
		return this.#startSpan(name, { traceID: this.traceID, ...options, sampled: false });
	}

	isActive(): boolean {
		return this.#active;
	}

	finish(): this {
		this.#active = false;
		return this;
	}

	addTags(): this {
		return this;
	}

	setError(): this {
		return this;
	}

	log(): this {
		return this;
	}
}

/**
 * Spares the traces that are not recorded most of what a span costs: moleculer makes each one in full, tags, times and
 * lines for the log included, and then drops it (bench/observability).
 *
 * @param inSample whether a trace is recorded that nobody has decided on; undefined: moleculer decides
 */
export function spareUnsampled(broker: ServiceBroker, inSample?: (traceID: string) => boolean): void {
	const { tracer } = broker;
	const startSampled = tracer.startSpan.bind(tracer) as StartSpan;
	const startSpan: StartSpan = (name, options = {}) => {
		const traceID = options.traceID ?? options.parentSpan?.traceID;
		const sampled = options.sampled ?? options.parentSpan?.sampled ?? (traceID && inSample?.(traceID));
		if (sampled !== false) return startSampled(name, options);
		const id = options.id ?? broker.generateUid();
		return new UnsampledSpan(id, traceID ?? id, startSpan) as unknown as Span;
	};
	tracer.startSpan = startSpan as typeof tracer.startSpan;
}
