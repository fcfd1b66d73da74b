import type { ServiceBroker } from "moleculer";

/** What the channel layer counts, in moleculer's metrics. */
export const METRICS = {
	redeliveries: "channels.redeliveries.total",
	deadLetters: "channels.deadLetters.total",
	handled: "channels.handled.time",
	waiting: "channels.consumer.lag",
	pending: "channels.consumer.pending"
} as const;

/** Registers the metrics; does nothing where moleculer's metrics are off. */
export function registerMetrics({ metrics }: ServiceBroker): void {
	const labelNames = ["consumer"];
	if (metrics.hasMetric(METRICS.redeliveries)) return;
	metrics.register({
		type: "counter",
		name: METRICS.redeliveries,
		labelNames,
		rate: true,
		description: "Messages that were delivered again"
	});
	metrics.register({
		type: "counter",
		name: METRICS.deadLetters,
		labelNames,
		description: "Messages that were given up"
	});
	metrics.register({
		type: "histogram",
		name: METRICS.handled,
		labelNames,
		quantiles: true,
		unit: "millisecond",
		description: "Time in the handler"
	});
	metrics.register({
		type: "gauge",
		name: METRICS.waiting,
		labelNames,
		description: "Messages of the stream that the consumer has not got yet"
	});
	metrics.register({
		type: "gauge",
		name: METRICS.pending,
		labelNames,
		description: "Messages that the consumer got and has not acknowledged"
	});
}

/** Makes a consumer's counters known as 0: an increase is only seen of a series that was there before. */
export function showConsumer({ metrics }: ServiceBroker, consumer: string): void {
	for (const name of [METRICS.redeliveries, METRICS.deadLetters]) metrics.set(name, 0, { consumer });
}
