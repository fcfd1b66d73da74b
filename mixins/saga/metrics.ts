import type { ServiceBroker } from "moleculer";
import type { Fact } from "./engine.ts";
import type { Standing } from "./operator-store.ts";

type Type = "counter" | "gauge" | "histogram";

interface Metric {
	type: Type;
	description: string;
	labelNames?: string[];
	unit?: string;
	buckets?: number[];
	/** What makes moleculer's Prometheus reporter write `_sum` and `_count`. */
	quantiles?: boolean;
}

const SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 60, 600, 3600];

/** Every metric, in moleculer's registry. */
export const metrics = {
	"saga.started.total": { type: "counter", labelNames: ["saga"], description: "Sagas begun" },
	"saga.finished.total": {
		type: "counter",
		labelNames: ["saga", "status"],
		description: "Sagas ended, as succeed or failed"
	},
	"saga.duration.seconds": {
		type: "histogram",
		labelNames: ["saga", "status"],
		unit: "second",
		buckets: SECONDS,
		quantiles: true,
		description: "From begin to end"
	},
	"saga.step.tries.total": {
		type: "counter",
		labelNames: ["saga", "step", "op", "outcome"],
		description: "Calls of branches"
	},
	"saga.fenced.total": { type: "counter", labelNames: ["saga"], description: "Owners that had lost their saga" },
	"saga.barrier.total": {
		type: "counter",
		labelNames: ["outcome"],
		description: "Branches that did nothing: duplicate, null (compensation), hanging (action)"
	},
	"saga.unfinished": { type: "gauge", labelNames: ["service"], description: "Sagas under way" },
	"saga.stuck": { type: "gauge", labelNames: ["service"], description: "Sagas that ask for a person" },
	"saga.oldest.seconds": {
		type: "gauge",
		labelNames: ["service"],
		unit: "second",
		description: "Age of the oldest unfinished saga"
	},
	"saga.poll.lag.seconds": {
		type: "histogram",
		unit: "second",
		buckets: SECONDS,
		quantiles: true,
		description: "How long a saga was due when it was picked up"
	}
} as const satisfies Record<string, Metric>;

type Name = keyof typeof metrics;
type Labels = Record<string, string>;

/**
 * Registers what is missing; without moleculer's metrics it does nothing.
 * @param sagas whose counters are shown as 0 from the start: an increase is only seen of a series that was there before
 */
export function registerMetrics({ metrics: registry }: ServiceBroker, sagas: readonly string[] = []): void {
	const show = (name: Name, labels: Labels) => registry.hasMetric(name) && registry.set(name, 0, labels);
	for (const [name, metric] of Object.entries(metrics)) {
		if (registry.hasMetric(name)) continue;
		registry.register({ name, ...metric } as never);
		if (name === "saga.barrier.total") for (const outcome of ["duplicate", "null", "hanging"]) show(name, { outcome });
	}
	for (const saga of sagas) {
		show("saga.fenced.total", { saga });
		for (const status of ["succeed", "failed"]) show("saga.finished.total", { saga, status });
	}
}

function increment({ metrics: registry }: ServiceBroker, name: Name, labels: Labels): void {
	if (registry.hasMetric(name)) registry.increment(name, labels);
}

/** Counts a branch that did nothing. */
export function countBarrier(broker: ServiceBroker, outcome: "duplicate" | "null" | "hanging"): void {
	registerMetrics(broker);
	increment(broker, "saga.barrier.total", { outcome });
}

/** Counts what the engine tells. */
export function countFact(broker: ServiceBroker, fact: Fact): void {
	const { name: saga, createdAt, finishedAt } = fact.saga;
	if (fact.kind === "started") increment(broker, "saga.started.total", { saga });
	if (fact.kind === "fenced") increment(broker, "saga.fenced.total", { saga });
	if (fact.kind === "tried") {
		const { step, op } = fact.branch;
		increment(broker, "saga.step.tries.total", { saga, step, op, outcome: fact.outcome });
	}
	if (fact.kind !== "succeed" && fact.kind !== "failed") return;
	const status = fact.kind;
	increment(broker, "saga.finished.total", { saga, status });
	const end = finishedAt ? Date.parse(finishedAt) : Date.now();
	observe(broker, "saga.duration.seconds", (end - Date.parse(createdAt)) / 1000, { saga, status });
}

/** Shows how late a poll found a saga, in milliseconds. */
export function observeLag(broker: ServiceBroker, late: number): void {
	observe(broker, "saga.poll.lag.seconds", Math.max(0, late) / 1000);
}

/**
 * Sets the gauges.
 * @param service whose sagas they are: another owner in the same process would overwrite them
 */
export function showStanding({ metrics: registry }: ServiceBroker, service: string, standing: Standing): void {
	if (!registry.hasMetric("saga.unfinished")) return;
	registry.set("saga.unfinished", standing.unfinished, { service });
	registry.set("saga.stuck", standing.needingAttention, { service });
	registry.set("saga.oldest.seconds", standing.oldest / 1000, { service });
}

function observe({ metrics: registry }: ServiceBroker, name: Name, value: number, labels?: Labels): void {
	if (registry.hasMetric(name)) registry.observe(name, value, labels);
}
