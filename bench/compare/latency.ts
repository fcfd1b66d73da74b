import { watchOthers } from "./machine.ts";
import type { Latency } from "./open-loop.ts";
import { type Round, type Spread, spreadOf } from "./summary.ts";

/** How often the floor's 99th percentile one of ours may take, at the same load. */
const GOAL = 2;
const FLOOR = "floor";
/** In the order in which they are measured: a mesh that was paused has lost its leases. */
const OURS = ["mesh", "one"];
/** Where others take more of the machine than this, a pair is measured again, so many times at most. */
const OTHERS = 0.1;
const ATTEMPTS = 3;

/** What is compared at one rate. */
interface Pair {
	asked: string;
	of: string;
	/** Requests a second. */
	rate: number;
}

/** The latencies of a pair in one round. */
interface Measured {
	ours: Latency;
	floor: Latency;
	/** The share of the machine that others took meanwhile: the greater of the two. */
	others: number;
}

export interface LatencyRatio extends Spread {
	asked: string;
	of: string;
	to: string;
	goal: number;
	/** Requests a second of both. */
	rate: number;
	ours: { p50: number; p99: number };
	floor: { p50: number; p99: number };
	/** The loader's own part of the 99th percentiles: what it was late. */
	late: number;
	/** Requests without an answer of 2xx, of all rounds. */
	failed: { ours: number; floor: number };
	/** The share of the machine's CPU time that others took, in the worst round. */
	others: number;
}

/** What is measured. */
export interface Measurable {
	/** Sends requests to a system at a rate. */
	send(asked: string, name: string, rate: number): Promise<Latency>;
	/** Pauses all other systems: those that nobody asks take some of the machine, too. */
	letOnly(names: readonly string[]): void;
}

/**
 * The 99th percentiles of ours beside the floor's at the same load: half of what saturated the slower of the two in
 * `rounds`, that is half of its median rate. Floor and ours take turns, in the other order in each round.
 */
export async function compareLatencies(
	rounds: readonly Round[],
	{ send, letOnly }: Measurable
): Promise<LatencyRatio[]> {
	const ratios: LatencyRatio[] = [];
	for (const of of OURS) {
		const pairs = pairsOf(rounds, of);
		if (!pairs[0]) continue;
		const measured = new Map<Pair, Measured[]>(pairs.map(pair => [pair, []]));
		letOnly([FLOOR, of]);
		// The loader's code is compiled before anything counts.
		await send(pairs[0].asked, FLOOR, pairs[0].rate);
		for (const [i] of rounds.entries())
			for (const pair of pairs) measured.get(pair)?.push(await quietly(() => measure(pair, i % 2 === 0, send)));
		ratios.push(...Array.from(measured, ([pair, each]) => summary(pair, each)));
	}
	return ratios;
}

async function measure({ asked, of, rate }: Pair, floorFirst: boolean, send: Measurable["send"]): Promise<Measured> {
	const latencies: Record<string, Latency> = {};
	let others = 0;
	for (const name of floorFirst ? [FLOOR, of] : [of, FLOOR]) {
		const share = watchOthers();
		latencies[name] = await send(asked, name, rate);
		others = Math.max(others, share());
	}
	return { ours: latencies[of] as Latency, floor: latencies[FLOOR] as Latency, others };
}

/** The first measurement that others left alone, or the one they left alone most. */
async function quietly(measureOnce: () => Promise<Measured>): Promise<Measured> {
	let best = await measureOnce();
	for (let attempt = 1; attempt < ATTEMPTS && best.others > OTHERS; attempt++) {
		const again = await measureOnce();
		if (again.others < best.others) best = again;
	}
	return best;
}

/** One for each kind of request, where both ran. */
function pairsOf(rounds: readonly Round[], of: string): Pair[] {
	return Object.entries(rounds[0] ?? {})
		.filter(([, systems]) => systems[of] && systems[FLOOR])
		.map(([asked]) => {
			const saturating = (name: string) => spreadOf(rounds.map(round => round[asked]?.[name]?.rate ?? 0)).median;
			return { asked, of, rate: Math.round(Math.min(saturating(of), saturating(FLOOR)) / 2) };
		});
}

function summary({ asked, of, rate }: Pair, each: readonly Measured[]): LatencyRatio {
	const median = (pick: (round: Measured) => number) => spreadOf(each.map(pick)).median;
	const sum = (pick: (round: Measured) => number) => each.reduce((total, round) => total + pick(round), 0);
	return {
		asked,
		of,
		to: FLOOR,
		goal: GOAL,
		rate,
		...spreadOf(each.map(({ ours, floor }) => ours.p99 / floor.p99)),
		ours: { p50: median(({ ours }) => ours.p50), p99: median(({ ours }) => ours.p99) },
		floor: { p50: median(({ floor }) => floor.p50), p99: median(({ floor }) => floor.p99) },
		late: median(({ ours, floor }) => Math.max(ours.late, floor.late)),
		failed: { ours: sum(({ ours }) => ours.failed), floor: sum(({ floor }) => floor.failed) },
		others: spreadOf(each.map(({ others }) => others)).most
	};
}

/** For `console.table`: one row a pair. */
export function latencyTable(ratios: readonly LatencyRatio[]) {
	return ratios.map(({ ours, floor, asked, of, to, rate, goal, median, least, most, late, failed, others }) => ({
		asked,
		of,
		to,
		"requests/s": rate,
		goal: `<= ${goal}`,
		"p99 ratio": median,
		spread: `${least}-${most}`,
		"p50 ms": ours.p50,
		"floor p50 ms": floor.p50,
		"p99 ms": ours.p99,
		"floor p99 ms": floor.p99,
		"late ms": late,
		failed: `${failed.ours}, ${failed.floor}`,
		"others %": Math.round(others * 100)
	}));
}
