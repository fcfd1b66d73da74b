import type { ServiceBroker } from "moleculer";

type Labels = Record<string, string | number>;

/** A metric of moleculer's registry; which methods it has depends on its type. */
interface Instrument {
	increment?(labels: Labels, by: number): void;
	set?(value: number, labels: Labels): void;
	observe?(value: number, labels: Labels): void;
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
