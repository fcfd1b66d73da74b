import { createRequire } from "node:module";
import type { BrokerOptions, Middleware, TracerOptions } from "moleculer";
import type { Env } from "../env.ts";
import type { JaegerExporter } from "./jaeger-exporter.ts";
import { inSample, newId } from "./trace-context.ts";
import { spareUnsampled } from "./unsampled-span.ts";
import { ZipkinExporter } from "./zipkin-exporter.ts";

type TracingEnv = Pick<
	Env,
	| "NODE_ENV"
	| "TRACE_EXPORTER"
	| "JAEGER_ENDPOINT"
	| "JAEGER_AGENT"
	| "JAEGER_SAMPLER"
	| "JAEGER_SAMPLE_RATE"
	| "ZIPKIN_URL"
>;

const JAEGER_BINARY_PORT = 6832;

/**
 * moleculer's tracing as the environment asks for it: `tracing`, ids of 128 bits, and a middleware for what is no option.
 * Parameters are not recorded; an action names those that may be by `tracing: { tags: { params: ["limit"] } }`. Neither
 * are the text and data of an error, which may quote a value: they are in the log, under the trace's id.
 *
 * @param version of the software, a tag of every process
 */
export function tracing(
	env: TracingEnv,
	version: string
): Pick<BrokerOptions, "tracing" | "uidGenerator"> & { middleware: Middleware } {
	const exporter = exporterOf(env, version);
	const rate = env.JAEGER_SAMPLE_RATE;
	const byRate = env.JAEGER_SAMPLER === "ratelimiting" && rate > 0;
	return {
		uidGenerator: newId,
		tracing: {
			enabled: exporter !== undefined,
			// moleculer's types leave out that an exporter may be an instance.
			...(exporter && { exporter: exporter as unknown as NonNullable<TracerOptions["exporter"]> }),
			events: true,
			sampling: byRate ? { tracesPerSecond: rate } : {},
			tags: { action: { params: false }, event: { params: false } }
		},
		middleware: {
			name: "Tracing rules",
			created(broker) {
				// Not an option: moleculer merges its list of five with ours place by place, and `data` stays.
				broker.tracer.opts.errorFields = ["name", "code", "type"];
				if (!byRate) broker.tracer.shouldSample = span => inSample(span.traceID, rate);
				spareUnsampled(broker, byRate ? undefined : traceID => inSample(traceID, rate));
			}
		}
	};
}

function exporterOf(env: TracingEnv, version: string): JaegerExporter | ZipkinExporter | undefined {
	const tags = { "service.version": version, "deployment.environment": env.NODE_ENV };
	const { TRACE_EXPORTER, JAEGER_ENDPOINT: endpoint, JAEGER_AGENT, ZIPKIN_URL: baseURL } = env;
	if (TRACE_EXPORTER === "zipkin" && baseURL) return new ZipkinExporter({ baseURL, defaultTags: tags });
	if (TRACE_EXPORTER !== "jaeger" || !(endpoint || JAEGER_AGENT)) return undefined;

	// Loaded where it is used: jaeger-client and thrift take 0.2 s of a start that exports nothing.
	const exporters = createRequire(import.meta.url)("./jaeger-exporter.ts") as typeof import("./jaeger-exporter.ts");
	const [host = "", port = JAEGER_BINARY_PORT] = JAEGER_AGENT.split(":");
	return new exporters.JaegerExporter({
		...(endpoint ? { endpoint } : { host, port: Number(port) }),
		processTags: tags
	});
}
