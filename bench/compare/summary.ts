import type { Figures } from "./load.ts";

/** The figures of one round, by what was asked and by system. */
export type Round = Record<string, Record<string, Figures>>;

/** A median and the least and the greatest of what it was taken from. */
export interface Spread {
	median: number;
	least: number;
	most: number;
}

export interface Ratio extends Spread {
	asked: string;
	of: string;
	to: string;
	goal: number;
}

/** What is wanted: how many requests a second of one system for one of another. */
export const GOALS = [
	{ asked: "GET", of: "one", to: "fastify", goal: 2 },
	{ asked: "POST", of: "one", to: "fastify", goal: 1.6 },
	{ asked: "GET", of: "one", to: "floor", goal: 0.7 },
	{ asked: "GET", of: "mesh", to: "fastify", goal: 1.3 },
	{ asked: "POST", of: "mesh", to: "fastify", goal: 1.2 },
	{ asked: "GET", of: "mesh", to: "nest", goal: 3 },
	{ asked: "GET", of: "one-cached", to: "floor", goal: 2 }
];

function figuresOf(round: Round, asked: string, name: string): Figures {
	const figures = round[asked]?.[name];
	if (!figures) throw new Error(`${name} was not asked to ${asked}`);
	return figures;
}

export function spreadOf(numbers: readonly number[], digits = 2): Spread {
	const sorted = numbers.toSorted((a, b) => a - b);
	const middle = (sorted.length - 1) / 2;
	const median = ((sorted[Math.floor(middle)] as number) + (sorted[Math.ceil(middle)] as number)) / 2;
	const round = (value: number) => Number(value.toFixed(digits));
	return { median: round(median), least: round(sorted[0] as number), most: round(sorted.at(-1) as number) };
}

/** One row a system and request: medians over the rounds, rates with their spread. */
export function table(rounds: readonly Round[]): Record<string, Record<string, string | number>> {
	const rows: Record<string, Record<string, string | number>> = {};
	for (const [asked, systems] of Object.entries(rounds[0] ?? {}))
		for (const name of Object.keys(systems)) {
			const of = (field: keyof Figures, digits?: number) =>
				spreadOf(
					rounds.map(round => figuresOf(round, asked, name)[field]),
					digits
				);
			const rate = of("rate", 0);
			rows[`${asked} ${name}`] = {
				"requests/s": rate.median,
				spread: `${rate.least}-${rate.most}`,
				"p50 ms": of("p50").median,
				"p99 ms": of("p99").median,
				"CPU ms/request": of("cpu", 3).median
			};
		}
	return rows;
}

/** The ratios that have a goal. Each is taken within a round: what is seconds apart can be compared. */
export function ratios(rounds: readonly Round[]): Ratio[] {
	return GOALS.filter(({ asked, of, to }) => rounds[0]?.[asked]?.[of] && rounds[0]?.[asked]?.[to]).map(goal => {
		const rate = (round: Round, name: string) => figuresOf(round, goal.asked, name).rate;
		return { ...goal, ...spreadOf(rounds.map(round => rate(round, goal.of) / rate(round, goal.to))) };
	});
}
