import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const TIMEOUT_MS = 15_000;

/** Stands where Zipkin would (`POST /api/v2/spans`), and keeps what it gets. */
export class ZipkinCollector {
	readonly spans: Record<string, unknown>[] = [];
	/** How requests are answered: with a status, or not at all. */
	answer: number | "never" = 202;
	/** Requests that came, answered or not. */
	requests = 0;
	readonly #http = createServer();
	readonly #news = new EventEmitter();

	/** `ZIPKIN_URL`. */
	get url(): string {
		return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
	}

	async start(): Promise<this> {
		this.#http.on("request", async (request, response) => {
			const chunks: Buffer[] = [];
			for await (const chunk of request) chunks.push(chunk as Buffer);
			this.requests++;
			if (request.url === "/api/v2/spans" && this.answer === 202)
				this.spans.push(...JSON.parse(Buffer.concat(chunks).toString()));
			if (this.answer !== "never") response.writeHead(this.answer).end();
			this.#news.emit("news");
		});
		await once(this.#http.listen(0, "127.0.0.1"), "listening");
		return this;
	}

	async stop(): Promise<void> {
		this.#http.closeAllConnections();
		await new Promise(resolve => this.#http.close(resolve));
	}

	/** Waits until the spans are such. @throws after 15 s */
	async until(reached: (spans: this["spans"]) => boolean): Promise<void> {
		const signal = AbortSignal.timeout(TIMEOUT_MS);
		while (!reached(this.spans)) await once(this.#news, "news", { signal });
	}
}
