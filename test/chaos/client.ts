import { Agent } from "node:http";
import { assertFailure, assertSuccess, failures } from "../support/answers.ts";
import { type Answer, Client, type RequestOptions } from "../support/client.ts";
import type { Outcome } from "./history.ts";

/** Longer than the gateway lets any request take. */
const PATIENCE_MS = 15_000;

/** What came of a request. */
export interface Exchange {
	outcome: Outcome;
	/** Status of the answer, 0 where none came. */
	status: number;
	/** What the answer's `data` holds; of a failure nothing. */
	data?: unknown;
	breach?: string;
	began: number;
	ended: number;
}

/**
 * A client of the API as there are many: it keeps its one connection to a gateway open, and after a request without an
 * answer goes to the next gateway. It repeats nothing by itself.
 */
export class ChaosClient {
	readonly #clients: Client[];
	readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
	#current: number;

	/** @param start which gateway to begin with */
	constructor(urls: readonly string[], start: number) {
		this.#clients = urls.map(url => new Client(url, { agent: this.#agent, timeout: PATIENCE_MS }));
		this.#current = start % urls.length;
	}

	async send(method: string, path: string, options: RequestOptions = {}): Promise<Exchange> {
		const began = performance.now();
		try {
			const answer = await (this.#clients[this.#current] as Client).send(method, path, options);
			return { ...judge(answer), began, ended: performance.now() };
		} catch {
			this.#current = (this.#current + 1) % this.#clients.length;
			return { outcome: "unknown", status: 0, began, ended: performance.now() };
		}
	}

	close(): void {
		this.#agent.destroy();
	}
}

/** What an answer says, and how it breaks the contract, if it does. */
export function judge(answer: Answer): Pick<Exchange, "outcome" | "status" | "data" | "breach"> {
	const { status } = answer;
	try {
		if (status < 300) return { outcome: "done", status, data: assertSuccess(answer, status as 200) };
		const known = Object.entries(failures).find(([, form]) => form[0] === status && form[1] === answer.body.code);
		if (!known)
			throw new Error(`${status} with code ${answer.body.code} is not documented: ${answer.text.slice(0, 200)}`);
		assertFailure(answer, known[0] as keyof typeof failures);
		return { outcome: status < 500 ? "refused" : "unknown", status };
	} catch (error) {
		return { outcome: "unknown", status, breach: (error as Error).message };
	}
}
