import type { BrokerOptions, MetricRegistry, Middleware } from "moleculer";
import type { Env } from "../env.ts";
import { MetricsServer } from "./metrics-server.ts";
import { RuntimeMetrics } from "./runtime-metrics.ts";
import type { MetricsMetadata } from "./targets.ts";

/**
 * moleculer's metrics, served to Prometheus on a port of their own, as the environment asks for it: the option
 * `metrics`, what other nodes must know to find them, and the middleware that adds what moleculer does not measure.
 */
export function metrics({ METRICS_PORT: port, METRICS_HOST: host }: Pick<Env, "METRICS_PORT" | "METRICS_HOST">): Pick<
	BrokerOptions,
	"metrics"
> & {
	middleware: Middleware;
	metadata: MetricsMetadata;
} {
	if (port === 0) return { metrics: false, middleware: { name: "Metrics are off" }, metadata: {} };

	let runtime: RuntimeMetrics | undefined;
	const server = new MetricsServer({ host, port, onScrape: () => runtime?.collect() });
	return {
		metadata: { metrics: { host, port } },
		metrics: {
			enabled: true,
			collectProcessMetrics: true,
			// Quantiles, which are not served, keep every value of this time in this many copies: by default 60 s in 10.
			defaultMaxAgeSeconds: 1,
			defaultAgeBuckets: 1,
			// moleculer's types leave out that a reporter may be an instance.
			reporter: server as unknown as NonNullable<MetricRegistry.MetricRegistryOptions["reporter"]>
		},
		middleware: {
			name: "RuntimeMetrics",
			created(broker) {
				runtime = new RuntimeMetrics(broker);
			},
			async started() {
				runtime?.start();
			},
			async stopping() {
				runtime?.stop();
			}
		}
	};
}
