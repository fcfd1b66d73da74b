import type { Callback } from "jaeger-client";
import httpSender from "jaeger-client/dist/src/reporters/http_sender.js";
import { postSpans } from "./post-spans.ts";

const TIMEOUT_MS = 5000;
/** What waits while a request is under way; about 2 MB. */
const MAX_QUEUED = 2000;

/**
 * jaeger-client's HTTP sender with an end to patience: it has no time-out of its own, so that a collector that accepts
 * and never answers would be sent a new request every second, each held in memory for ever. Here one request is under
 * way at a time, five seconds at most, and spans beyond 2000 that wait are lost.
 */
export class JaegerHttpSender extends httpSender.default {
	readonly #endpoint: string;
	readonly #timeout: number;
	#request: Promise<void> | undefined;

	/** @param timeout of a request, in milliseconds */
	constructor(endpoint: string, timeout = TIMEOUT_MS) {
		super({ endpoint });
		this.#endpoint = endpoint;
		this.#timeout = timeout;
	}

	/** Settles when no request is under way. */
	get idle(): Promise<void> {
		return this.#request ?? Promise.resolve();
	}

	override append(span: object, callback: Callback): void {
		if (this._batch.spans.length >= MAX_QUEUED) {
			callback(1, "too many spans wait");
			return;
		}
		this._batch.spans.push(new this._jaegerThrift.Span(span));
		callback(0);
	}

	override flush(callback: Callback): void {
		const count = this._batch.spans.length;
		if (count === 0 || this.#request) {
			callback(0);
			return;
		}
		const { err, value } = this._jaegerThrift.Batch.rw.toBuffer(this._batch);
		this._batch.spans = [];
		if (err) {
			callback(count, `the spans could not be encoded: ${err.message}`);
			return;
		}
		const body = new Uint8Array(value);
		this.#request = postSpans(this.#endpoint, "application/x-thrift", body, this.#timeout).then(
			() => this.#settled(() => callback(count)),
			({ message }: Error) => this.#settled(() => callback(count, message))
		);
	}

	#settled(report: () => void): void {
		this.#request = undefined;
		report();
	}
}
