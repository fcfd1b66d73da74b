import { createSocket } from "node:dgram";
import { EventEmitter, once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { decodeBody, decodeDatagram, type ReceivedSpan } from "./jaeger-thrift.ts";

export type { ReceivedSpan } from "./jaeger-thrift.ts";

const HOST = "127.0.0.1";
const TIMEOUT_MS = 15_000;

/** A span with the spans that it caused, in the order in which they began. */
export interface SpanTree extends ReceivedSpan {
	children: SpanTree[];
}

/** Stands where a Jaeger agent (UDP) and collector (HTTP) would, and keeps what they get. */
export class JaegerCollector {
	readonly spans: ReceivedSpan[] = [];
	/** Every datagram and body as it came. */
	readonly packets: Buffer[] = [];
	/** How requests are answered: with a status, or not at all. */
	answer: number | "never" = 202;
	/** Requests that came, answered or not. */
	requests = 0;
	readonly #udp = createSocket("udp4");
	readonly #http = createServer();
	readonly #news = new EventEmitter();
	readonly #held: ServerResponse[] = [];

	/** `JAEGER_AGENT`. */
	get agent(): string {
		return `${HOST}:${this.#udp.address().port}`;
	}

	/** `JAEGER_ENDPOINT`. */
	get endpoint(): string {
		return `http://${HOST}:${(this.#http.address() as AddressInfo).port}/api/traces`;
	}

	async start(): Promise<this> {
		this.#news.setMaxListeners(0);
		this.#udp.on("message", packet => this.#take(packet, decodeDatagram));
		this.#http.on("request", async (request, response) => {
			const chunks: Buffer[] = [];
			for await (const chunk of request) chunks.push(chunk as Buffer);
			this.requests++;
			this.#news.emit("news");
			if (this.answer === "never") return void this.#held.push(response);
			if (this.answer < 300) this.#take(Buffer.concat(chunks), decodeBody);
			response.writeHead(this.answer).end();
		});
		await Promise.all([once(this.#udp.bind(0, HOST), "listening"), once(this.#http.listen(0, HOST), "listening")]);
		return this;
	}

	async stop(): Promise<void> {
		this.#http.closeAllConnections();
		await Promise.all([
			new Promise<void>(resolve => this.#udp.close(resolve)),
			new Promise(resolve => this.#http.close(resolve))
		]);
	}

	/** Waits for a state of this collector. @throws after 15 s */
	async until(reached: (collector: this) => boolean, what = "the spans"): Promise<void> {
		const signal = AbortSignal.timeout(TIMEOUT_MS);
		while (!reached(this)) {
			try {
				await once(this.#news, "news", { signal });
			} catch {
				throw new Error(
					`No sign of ${what}; got:\n${this.spans.map(({ name, traceId }) => `${traceId} ${name}`).join("\n")}`
				);
			}
		}
	}

	/** The spans of a trace. */
	of(traceId: string): ReceivedSpan[] {
		return this.spans.filter(span => span.traceId === traceId);
	}

	/** Waits until a trace has a root and every parent is there, and `count` spans at least. @throws after 15 s */
	async trace(traceId: string, count = 1): Promise<SpanTree> {
		const whole = () => {
			const spans = this.of(traceId);
			const ids = new Set(spans.map(span => span.id));
			const orphans = spans.filter(({ parentId }) => !parentId || !ids.has(parentId));
			return spans.length >= count && orphans.length === 1;
		};
		await this.until(whole, `a whole trace ${traceId} of ${count} spans`);
		return treeOf(this.of(traceId));
	}

	#take(packet: Buffer, decode: (packet: Buffer) => ReceivedSpan[]): void {
		this.packets.push(packet);
		this.spans.push(...decode(packet));
		this.#news.emit("news");
	}
}

/** A span and all below it. */
export function flat(tree: SpanTree): SpanTree[] {
	return [tree, ...tree.children.flatMap(flat)];
}

function treeOf(spans: readonly ReceivedSpan[]): SpanTree {
	const trees = new Map(spans.map(span => [span.id, { ...span, children: [] as SpanTree[] }]));
	let root: SpanTree | undefined;
	for (const span of [...trees.values()].sort((a, b) => a.start - b.start)) {
		const parent = span.parentId && trees.get(span.parentId);
		if (parent) parent.children.push(span);
		else root = span;
	}
	return root as SpanTree;
}
