import definitions from "jaeger-client/dist/src/thrift.js";
import { Thrift } from "thriftrw";

interface ThriftTag {
	key: string;
	vType: "STRING" | "DOUBLE" | "BOOL" | "LONG" | "BINARY";
	vStr?: string;
	vDouble?: number;
	vBool?: boolean;
}

interface ThriftSpan {
	traceIdLow: Buffer;
	traceIdHigh: Buffer;
	spanId: Buffer;
	parentSpanId: Buffer;
	operationName: string;
	flags: number;
	startTime: Buffer;
	duration: Buffer;
	tags: ThriftTag[];
}

export interface ThriftBatch {
	process: { serviceName: string; tags: ThriftTag[] };
	spans: ThriftSpan[];
}

/** A span as Jaeger would show it. */
export interface ReceivedSpan {
	/** 32 hexadecimal digits. */
	traceId: string;
	/** 16 hexadecimal digits. */
	id: string;
	/** Undefined for a root. */
	parentId: string | undefined;
	name: string;
	service: string;
	/** Microseconds since 1970. */
	start: number;
	/** Microseconds. */
	duration: number;
	tags: Record<string, unknown>;
	/** Tags of the process. */
	process: Record<string, unknown>;
}

const batches = new Thrift({ source: definitions.default.loadJaegerThriftDefinition(), allowOptionalArguments: true });
const agent = new Thrift({
	entryPoint: definitions.default.buildAgentThriftPath(),
	allowOptionalArguments: true,
	allowFilesystemAccess: true
});

/** The spans of a datagram for a Jaeger agent: the message `emitBatch` in Thrift's binary protocol. @throws where it is not one */
export function decodeDatagram(datagram: Buffer): ReceivedSpan[] {
	const { err, value } = agent.Agent.emitBatch.argumentsMessageRW.readFrom(datagram, 0);
	if (err) throw err;
	return spansOf(value.body.batch);
}

/** The spans of a request to a Jaeger collector: one `Batch` in Thrift's binary protocol. @throws where it is not one */
export function decodeBody(body: Buffer): ReceivedSpan[] {
	const { err, value } = batches.Batch.rw.readFrom(body, 0);
	if (err) throw err;
	return spansOf(value);
}

function spansOf({ process, spans }: ThriftBatch): ReceivedSpan[] {
	return spans.map(span => ({
		traceId: hex(span.traceIdHigh) + hex(span.traceIdLow),
		id: hex(span.spanId),
		parentId: /^0+$/.test(hex(span.parentSpanId)) ? undefined : hex(span.parentSpanId),
		name: span.operationName,
		service: process.serviceName,
		start: Number(span.startTime.readBigInt64BE()),
		duration: Number(span.duration.readBigInt64BE()),
		tags: plain(span.tags),
		process: plain(process.tags)
	}));
}

function plain(tags: ThriftTag[]): Record<string, unknown> {
	return Object.fromEntries(
		tags.map(({ key, vType, vStr, vDouble, vBool }) => [
			key,
			vType === "DOUBLE" ? vDouble : vType === "BOOL" ? vBool : vStr
		])
	);
}

function hex(id: Buffer): string {
	return id.toString("hex").padStart(16, "0");
}
