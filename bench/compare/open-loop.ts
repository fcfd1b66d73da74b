import { readFileSync } from "node:fs";
import { createHistogram } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { bytesOf, Connections } from "./connection.ts";

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
	/** How many were sent in all, those of the first second included, which do not count above. */
	sent: number;
	/** How many of them were not answered with 2xx, e.g. refused by a gateway that had too much to do: they count as {@link PATIENCE_MS}. */
	failed: number;
}

/** How long the last answers are waited for; an answer that is not 2xx counts as so much. */
const PATIENCE_MS = 10_000;
const TICK_MS = 1;
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
	const lines = readFileSync(tokens, "utf8").trim().split("\n");
	const requests = lines.map(token => bytesOf({ url, token, body }));
	const latencies = createHistogram();
	const lateness = createHistogram();
	const record = (histogram: typeof latencies, milliseconds: number) =>
		histogram.record(Math.max(1, Math.round(milliseconds * UNITS)));

	const connections = new Connections(url);
	const began = performance.now();
	const elapsed = () => performance.now() - began;
	let sent = 0;
	let answered = 0;
	let failed = 0;
	const dueTime = (index: number) => (index / rate) * 1000;
	const sendDue = (now: number) => {
		while (dueTime(sent) <= now) {
			const dueAt = dueTime(sent);
			const counts = dueAt >= WARM_UP_MS;
			if (counts) record(lateness, elapsed() - dueAt);
			connections.send(requests[sent % requests.length] as Buffer, isGood => {
				answered++;
				if (!isGood) failed++;
				if (counts) record(latencies, isGood ? elapsed() - dueAt : PATIENCE_MS);
			});
			sent++;
		}
	};

	const end = WARM_UP_MS + seconds * 1000;
	for (let now = 0; now < end; now = elapsed()) {
		sendDue(now);
		await delay(TICK_MS);
	}
	while (answered < sent && elapsed() < end + PATIENCE_MS) await delay(TICK_MS);
	// What is not answered by now was not.
	connections.close();
	while (answered < sent) await delay(TICK_MS);
	if (failed === sent) throw new Error(`${url} answered none of ${sent} requests`);
	const milliseconds = (units: number) => units / UNITS;
	return {
		p50: milliseconds(latencies.percentile(50)),
		p99: milliseconds(latencies.percentile(99)),
		max: milliseconds(latencies.max),
		late: milliseconds(lateness.percentile(99)),
		sent,
		failed
	};
}
