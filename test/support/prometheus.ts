import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const TIMEOUT_MS = 40_000;
const POLL_MS = 250;

interface Series {
	metric: Record<string, string>;
	value: [time: number, value: string];
}

/** Runs promtool. @throws with its output where it finds something wrong */
export async function promtool(...args: string[]): Promise<string> {
	return (await promisify(execFile)("promtool", args)).stdout;
}

/** Answers of a Prometheus server to instant queries. */
export class PrometheusClient {
	readonly #url: string;

	constructor(url: string) {
		this.#url = url;
	}

	/** The series of an expression, with their values. */
	async query(expression: string): Promise<{ labels: Record<string, string>; value: number }[]> {
		const answer = await fetch(`${this.#url}/api/v1/query?query=${encodeURIComponent(expression)}`);
		const { data, error } = (await answer.json()) as { data?: { result: Series[] }; error?: string };
		if (!data) throw new Error(`${expression}: ${error}`);
		return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
	}

	/** Waits until an expression has such an answer. @throws after 40 s, with the last answer */
	async until(expression: string, reached: (series: Awaited<ReturnType<PrometheusClient["query"]>>) => boolean) {
		for (const deadline = Date.now() + TIMEOUT_MS; ; await delay(POLL_MS)) {
			const series = await this.query(expression);
			if (reached(series)) return series;
			if (Date.now() > deadline) throw new Error(`${expression} stayed ${JSON.stringify(series)}`);
		}
	}

	/** The names of all metrics that it has. */
	async names(): Promise<string[]> {
		const answer = await fetch(`${this.#url}/api/v1/label/__name__/values`);
		return ((await answer.json()) as { data: string[] }).data;
	}
}
