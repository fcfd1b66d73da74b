/** What we use of jaeger-client, which has no types. */

declare module "jaeger-client" {
	/** `spans`: how many this is about; `error`: why they were lost. */
	export type Callback = (spans: number, error?: string) => void;

	export interface Sender {
		append(span: object, callback: Callback): void;
		flush(callback: Callback): void;
		close(): void;
	}

	export interface Counter {
		increment(by: number): void;
	}

	export interface ReporterOptions {
		logger?: { info(message: string): void; error(message: string): void };
		metrics?: { reporterSuccess: Counter; reporterFailure: Counter; reporterDropped: Counter };
	}

	/** What a reporter reads of a span. Times are in milliseconds. */
	export interface ReportedSpan {
		_operationName: string;
		_spanContext: { traceId: Buffer; spanId: Buffer; parentId: Buffer | undefined; flags: number };
		_references: [];
		_startTime: number;
		_duration: number;
		_tags: { key: string; value: unknown }[];
		_logs: [];
	}

	/** Sends the spans of one service every second. */
	export class RemoteReporter {
		constructor(sender: Sender, options?: ReporterOptions);
		report(span: ReportedSpan): void;
	}

	const jaeger: { RemoteReporter: typeof RemoteReporter };
	export default jaeger;
}

declare module "jaeger-client/dist/src/reporters/udp_sender.js" {
	import type { Sender } from "jaeger-client";

	const module: {
		default: new (options: { host?: string; port?: number; logger: { error(message: string): void } }) => Sender;
	};
	export default module;
}

declare module "jaeger-client/dist/src/reporters/http_sender.js" {
	import type { Callback, Sender } from "jaeger-client";

	interface Encoded {
		err?: Error | null;
		value: Buffer;
	}

	class HttpSender implements Sender {
		constructor(options: { endpoint: string });
		protected _batch: { spans: object[] };
		protected _jaegerThrift: {
			Span: new (span: object) => object;
			Batch: { rw: { toBuffer(batch: object): Encoded } };
		};
		append(span: object, callback: Callback): void;
		flush(callback: Callback): void;
		close(): void;
	}

	const module: { default: typeof HttpSender };
	export default module;
}
