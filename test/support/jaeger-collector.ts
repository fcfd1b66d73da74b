export { flat, JaegerCollector, type ReceivedSpan, type SpanTree } from "../../scripts/tracing/jaeger-collector.ts";
