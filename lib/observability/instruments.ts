import type { ServiceBroker } from "moleculer";

export type Labels = Record<string, string | number>;

/** A metric of moleculer's registry; which methods it has depends on its type. */
interface Instrument {
	increment?(labels: Labels, by: number): void;
	set?(value: number, labels: Labels): void;
	observe?(value: number, labels: Labels): void;
}

/** What a metric is. Names are written with dots, which Prometheus gets as underscores. */
export interface Definition {
	type: "counter" | "gauge" | "histogram";
	name: string;
	/** One line for Prometheus' HELP. */
	description: string;
	/** Each label must have few values, known beforehand: a series is kept per combination, for ever. */
	labelNames?: string[];
	/** The combinations that are there, as 0, before anything happens: a rate needs a first value. */
	known?: Labels[];
}

/** Makes metrics. Does nothing where metrics are off. Histograms are of milliseconds, in moleculer's default buckets. */
export function register({ metrics }: ServiceBroker, definitions: readonly Definition[]): void {
	if (!metrics.isEnabled()) return;
	for (const { known = [], type, ...definition } of definitions) {
		// Quantiles are what makes moleculer's reporter write `_sum` and `_count`.
		if (type === "histogram") metrics.register({ ...definition, type, buckets: true, quantiles: true });
		else if (type === "gauge") metrics.register({ ...definition, type });
		else metrics.register({ ...definition, type });
		for (const labels of known) metrics.set(definition.name, 0, labels);
	}
}

/** Undefined where metrics are off, or this metric was not registered: moleculer's own shortcuts throw on that. */
function instrument({ metrics }: ServiceBroker, name: string): Instrument | undefined {
	return (metrics.getMetric(name) as Instrument | null) ?? undefined;
}

/** Adds to a counter or gauge. */
export function count(broker: ServiceBroker, name: string, labels: Labels = {}, by = 1): void {
	instrument(broker, name)?.increment?.(labels, by);
}

/** Sets a gauge. */
export function gauge(broker: ServiceBroker, name: string, value: number, labels: Labels = {}): void {
	instrument(broker, name)?.set?.(value, labels);
}

/** Adds a value, in milliseconds, to a histogram. */
export function observe(broker: ServiceBroker, name: string, value: number, labels: Labels = {}): void {
	instrument(broker, name)?.observe?.(value, labels);
}
