import { readFileSync } from "node:fs";
import { Agent, type RequestOptions, request } from "node:http";
import { createHistogram } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

/** What is sent, whether what was sent before is answered or not: as the world outside behaves. */
export interface OpenLoad {
	url: string;
	/** A file of access tokens, one a line: each request is another user's. */
	tokens: string;
	/** Makes it a POST. */
	body?: string;
	/** Requests a second, at even distances. */
	rate: number;
	seconds: number;
}

/** In milliseconds. */
export interface Latency {
	p50: number;
	p99: number;
	max: number;
	/** By how much the 99th percentile of requests left later than they should: the loader's own part of a latency. */
	late: number;
	/** How many were not answered with 2xx, e.g. refused by a gateway that had too much to do: they count as {@link PATIENCE_MS}. */
	failed: number;
}

const PATIENCE_MS = 10_000;
/** Connections are opened in this time; what is sent in it does not count. */
const WARM_UP_MS = 1000;
/** Histograms count whole units, of which there are so many in a millisecond. */
const UNITS = 1000;

/**
 * Sends requests at a constant rate and measures each from the moment it should have left: a system that stalls can not
 * keep the loader from counting those who would have come meanwhile ("coordinated omission", Gil Tene).
 * @throws where none was answered with 2xx
 */
export async function sendAtRate({ url, tokens, body, rate, seconds }: OpenLoad): Promise<Latency> {
	const agent = new Agent({ keepAlive: true, scheduling: "lifo" });
	const content = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body ?? "") };
	const requests = readFileSync(tokens, "utf8")
		.trim()
		.split("\n")
		.map(token => ({
			...{ agent, method: body ? "POST" : "GET", timeout: PATIENCE_MS },
			headers: { Authorization: `Bearer ${token}`, ...(body && content) }
		}));
	const latencies = createHistogram();
	const lateness = createHistogram();
	const record = (histogram: typeof latencies, milliseconds: number) =>
		histogram.record(Math.max(1, Math.round(milliseconds * UNITS)));

	const began = performance.now();
	const end = WARM_UP_MS + seconds * 1000;
	const answers: Promise<void>[] = [];
	let failed = 0;
	const sendDue = (now: number) => {
		for (let due = dueTime(answers.length); due <= now; due = dueTime(answers.length)) {
			const counts = due >= WARM_UP_MS;
			if (counts) record(lateness, performance.now() - began - due);
			const answered = ask(url, requests[answers.length % requests.length] as RequestOptions, body);
			const done = (isGood: boolean) => {
				if (!isGood) failed++;
				if (counts) record(latencies, isGood ? performance.now() - began - due : PATIENCE_MS);
			};
			answers.push(answered.then(done));
		}
	};
	const dueTime = (index: number) => (index / rate) * 1000;

	try {
		for (let now = 0; now < end; now = performance.now() - began) {
			sendDue(now);
			await delay(1);
		}
		await Promise.all(answers);
	} finally {
		agent.destroy();
	}
	if (failed === answers.length) throw new Error(`${url} answered none of ${answers.length} requests`);
	const milliseconds = (units: number) => units / UNITS;
	return {
		p50: milliseconds(latencies.percentile(50)),
		p99: milliseconds(latencies.percentile(99)),
		max: milliseconds(latencies.max),
		late: milliseconds(lateness.percentile(99)),
		failed
	};
}

/** @returns whether it was answered with 2xx */
function ask(url: string, options: RequestOptions, body?: string): Promise<boolean> {
	return new Promise(resolve => {
		const sent = request(url, options, res => {
			res.resume();
			res.once("error", () => resolve(false));
			res.once("end", () => resolve(res.statusCode === 200 || res.statusCode === 201));
		});
		sent.once("timeout", () => sent.destroy());
		sent.once("error", () => resolve(false));
		sent.end(body);
	});
}
