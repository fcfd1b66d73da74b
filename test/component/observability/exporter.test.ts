import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { format } from "node:util";
import { Loggers, ServiceBroker } from "moleculer";
import { readEnv } from "../../../lib/env.ts";
import { JaegerHttpSender } from "../../../lib/observability/jaeger-http-sender.ts";
import { tracing } from "../../../lib/observability/tracing.ts";
import { ZipkinExporter } from "../../../lib/observability/zipkin-exporter.ts";
import { startApp, useEnvironment } from "../../support/app.ts";
import { JaegerCollector } from "../../support/jaeger-collector.ts";
import { freePort } from "../../support/processes.ts";
import { until } from "../../support/until.ts";
import { ZipkinCollector } from "../../support/zipkin-collector.ts";

useEnvironment();

class Lines extends Loggers.Base<{ level?: "info" }> {
	readonly lines: string[] = [];

	override getLogHandler() {
		return (level: string, args: unknown[]) => void this.lines.push(`${level} ${format(...args)}`);
	}

	about(what: string): string[] {
		return this.lines.filter(line => line.includes(what));
	}
}

function traced(variables: Record<string, string>, logger = new Lines({ level: "info" })) {
	const { middleware, ...options } = tracing(readEnv({ NODE_ENV: "test", ...variables }), "1.2.3");
	return { ...options, logger, middlewares: [middleware] };
}

async function collectorOf(t: TestContext): Promise<JaegerCollector> {
	const collector = await new JaegerCollector().start();
	t.after(() => collector.stop());
	return collector;
}

/** A broker that is not stopped by its service being slow to export. */
async function brokerOf(t: TestContext, options: ReturnType<typeof traced>): Promise<ServiceBroker> {
	const broker = new ServiceBroker({ ...options, nodeID: "one", registry: { stopDelay: 0 } });
	broker.createService({ name: "greeter", actions: { hello: () => "hello", fail } });
	await broker.start();
	t.after(() => broker.stop());
	return broker;
}

function fail() {
	throw new Error("planted-secret");
}

describe("The Jaeger exporter", () => {
	for (const [transport, variables] of [
		["HTTP", (collector: JaegerCollector) => ({ JAEGER_ENDPOINT: collector.endpoint })],
		["UDP", (collector: JaegerCollector) => ({ JAEGER_AGENT: collector.agent })]
	] as const) {
		it(`sends what is under way when the broker stops, over ${transport}`, async t => {
			const collector = await collectorOf(t);
			const broker = await brokerOf(t, traced(variables(collector)));
			await broker.call("greeter.hello");
			await broker.stop();
			await collector.until(({ spans }) => spans.length === 1);
			const [span] = collector.spans;
			assert.equal(span?.name, "action 'greeter.hello'");
			assert.match(span?.traceId as string, /^(?!0{16})[0-9a-f]{32}$/, "128 bits");
			assert.equal(span?.parentId, undefined);
			assert.equal(span?.process["node.id"], "one");
			assert.equal(span?.process["service.version"], "1.2.3");
		});
	}

	it("warns once while a collector is away, harms no request, and says when spans arrive again", async t => {
		const collector = await collectorOf(t);
		const options = traced({ JAEGER_ENDPOINT: collector.endpoint });
		const { client } = await startApp(t, {}, options);
		collector.answer = 503;
		const { token } = await client.newUser();
		for (let attempts = 1; attempts <= 3; attempts++) {
			await collector.until(({ requests }) => requests >= attempts, "an attempt");
			await client.send("GET", "/v1/user/me", { token });
		}
		assert.equal((await client.send("GET", "/v1/user/me", { token })).status, 200);
		assert.deepEqual(
			options.logger.about("Spans").map(line => line.slice(0, 4)),
			["warn"]
		);

		collector.answer = 202;
		const answer = await client.send("GET", "/v1/user/me", { token });
		await collector.trace(String(answer.headers["x-request-id"]), 2);
		const [warning, recovery, ...more] = options.logger.about("Spans");
		assert.match(
			warning as string,
			/^warn Spans do not reach 127.0.0.1:\d+ and are lost, which harms no request: HTTP 503/
		);
		assert.match(recovery as string, /^info Spans reach 127.0.0.1:\d+ again; \d+ were lost/);
		assert.deepEqual(more, []);
	});

	it("harms no request when nobody listens", async t => {
		const options = traced({ JAEGER_ENDPOINT: `http://127.0.0.1:${await freePort()}/api/traces` });
		const { client } = await startApp(t, {}, options);
		const { token } = await client.newUser();
		assert.equal((await client.send("GET", "/v1/user/me", { token })).status, 200);
	});

	it("has one request under way and 2000 spans waiting at most when a collector never answers", async t => {
		const collector = await collectorOf(t);
		collector.answer = "never";
		const sender = new JaegerHttpSender(collector.endpoint, 60_000);
		Object.assign(sender, { _batch: { process: { serviceName: "x", tags: [] }, spans: [] } });
		let lost = 0;
		const count = (spans: number, error?: string) => {
			if (error) lost += spans;
		};
		for (let i = 0; i < 10; i++) sender.append({ ...SPAN }, count);
		sender.flush(count);
		await collector.until(({ requests }) => requests === 1, "a request");
		for (let i = 0; i < 5000; i++) sender.append({ ...SPAN }, count);
		for (let i = 0; i < 5; i++) sender.flush(count);
		assert.equal(lost, 3000);
		assert.equal(collector.requests, 1);
	});

	it("gives a request up in time and goes on with the next", async t => {
		const collector = await collectorOf(t);
		collector.answer = "never";
		const sender = new JaegerHttpSender(collector.endpoint, 50);
		Object.assign(sender, { _batch: { process: { serviceName: "x", tags: [] }, spans: [] } });
		const ends: [number, string?][] = [];
		for (let round = 1; round <= 3; round++) {
			sender.append({ ...SPAN }, () => {});
			sender.flush((...end) => ends.push(end));
			await sender.idle;
		}
		assert.deepEqual(
			ends.map(([spans, error]) => [spans, /time/.test(error ?? "")]),
			[
				[1, true],
				[1, true],
				[1, true]
			]
		);
	});
});

const EIGHT = Buffer.alloc(8, 1);
const SPAN = {
	traceIdLow: EIGHT,
	traceIdHigh: EIGHT,
	spanId: EIGHT,
	parentSpanId: EIGHT,
	startTime: EIGHT,
	duration: EIGHT,
	operationName: "x",
	references: [],
	flags: 1,
	tags: [],
	logs: []
};

describe("The Zipkin exporter", () => {
	it("is chosen by one variable, and sends ids of 128 bits, kinds and failures without their text", async t => {
		const collector = await new ZipkinCollector().start();
		t.after(() => collector.stop());
		const broker = await brokerOf(t, traced({ TRACE_EXPORTER: "zipkin", ZIPKIN_URL: collector.url }));
		await assert.rejects(broker.call("greeter.fail"));
		await collector.until(spans => spans.length === 1);
		const [span] = collector.spans;
		assert.match(String(span?.traceId), /^[0-9a-f]{32}$/);
		assert.match(String(span?.id), /^[0-9a-f]{16}$/);
		assert.equal(span?.kind, "SERVER");
		assert.deepEqual({ error: "Error", ...(span?.tags as object) }, span?.tags);
		assert.doesNotMatch(JSON.stringify(collector.spans), /planted-secret/);
	});

	it("sends one request at a time to a server that hangs, gives it up in time, warns once, and recovers", async t => {
		const collector = await new ZipkinCollector().start();
		t.after(() => collector.stop());
		const logger = new Lines({ level: "info" });
		const exporter = new ZipkinExporter({ baseURL: collector.url, defaultTags: {} }, 100);
		const { tracing: options, ...rest } = traced({ TRACE_EXPORTER: "zipkin", ZIPKIN_URL: collector.url }, logger);
		const broker = await brokerOf(t, { ...rest, tracing: { ...(options as object), exporter: exporter as never } });
		const flush = async () => {
			await broker.call("greeter.hello");
			exporter.flush();
		};

		collector.answer = "never";
		await Promise.all([flush(), flush(), flush()]);
		await collector.until(() => collector.requests === 1);
		await until("the failure is told of", () => logger.about("Spans do not reach").length === 1);
		assert.match(logger.about("Spans")[0] as string, /^warn .* harms no request: .*time/);

		collector.answer = 503;
		await flush();
		await collector.until(() => collector.requests === 2);
		collector.answer = 202;
		await until("a span has arrived", async () => {
			await flush();
			return collector.spans.length > 0;
		});
		await until("the recovery is told of", () => logger.about("again").length === 1);
		assert.equal(logger.about("Spans").length, 2);
	});

	it("keeps 5000 spans at most for a server that is away", async t => {
		const options = traced({ TRACE_EXPORTER: "zipkin", ZIPKIN_URL: `http://127.0.0.1:${await freePort()}` });
		const broker = await brokerOf(t, options);
		const [exporter] = (broker.tracer as unknown as { exporter: ZipkinExporter[] }).exporter;
		const [span] = [broker.tracer.startSpan("x")];
		for (let i = 0; i < 6000; i++) exporter?.spanFinished(span);
		assert.equal(exporter?.queue.length, 5000);
		assert.match(options.logger.about("Spans").join(), /too many spans wait/);
	});
});
