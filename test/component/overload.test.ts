import assert from "node:assert/strict";
import { createServer, get, IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ServiceBroker } from "moleculer";
import { newId } from "../../lib/observability/trace-context.ts";
import { Overload } from "../../services/api/overload.ts";
import { assertFailure, assertSuccess } from "../support/answers.ts";
import { type App, quiet, startApp, useEnvironment } from "../support/app.ts";
import { Log } from "../support/log.ts";
import { until } from "../support/until.ts";

useEnvironment({ OVERLOAD_REQUESTS_MAX: "4" });

describe("A gateway with more requests than it may keep", () => {
	let app: App;
	let release: () => void;
	let token: string;
	const log = new Log();
	const ends: (() => Promise<void>)[] = [];
	after(() => Promise.all(ends.map(end => end())));
	before(async () => {
		const note = { name: "note", actions: { query: () => held, ready: () => true } };
		let { promise: held, resolve } = Promise.withResolvers<object>();
		release = () => {
			resolve({ total: 0, notes: [], next_cursor: null });
			({ promise: held, resolve } = Promise.withResolvers<object>());
		};
		app = await startApp(
			{ after: (end: () => Promise<void>) => void ends.push(end) },
			{ note },
			{ metrics: true, logger: log }
		);
		({ token } = await app.client.newUser());
	});
	const query = () => app.client.send("GET", "/v1/note/query", { token });

	it("refuses the others at once with 503 and when to come back, but nobody who asks for its health", async () => {
		const kept = Array.from({ length: 4 }, query);
		const api = app.broker.getLocalService("api") as unknown as { overload: Overload };
		await until("all four are under way", () => api.overload.inFlight === 4);

		for (const path of ["/v1/note/query", "/nothing"])
			assertFailure(await app.client.send("GET", path, { token }), "unavailable");
		assertFailure(
			await app.client.send("POST", "/v1/note", { token, json: { title: "a", content: "b" } }),
			"unavailable"
		);
		assertFailure(await app.client.send("POST", "/healthz"), "unavailable");
		for (const path of ["/healthz", "/healthz/", "/readyz", "/ping"])
			assert.equal((await app.client.send("GET", path)).status, 200, path);
		const traceID = newId();
		const headers = { traceparent: `00-${traceID}-b7ad6b7169203331-01` };
		const shed = await app.client.send("GET", "/v1/note/query", { token, headers });
		assert.equal(shed.headers["x-request-id"], traceID);
		assert.equal(
			log.texts("debug").filter(text => text.startsWith("Request shed") && text.includes(traceID)).length,
			1
		);
		assert.equal(app.broker.metrics.getMetric("http.shed.total")?.get({ reason: "full" })?.value, 5);

		release();
		for (const answer of await Promise.all(kept)) assertSuccess(answer);
		await until("none is under way", () => api.overload.inFlight === 0);
		const next = query();
		await until("one is under way", () => api.overload.inFlight === 1);
		release();
		assertSuccess(await next);
	});
});

describe("Overload", () => {
	it("takes many requests that wait, and refuses more only while the event loop is busy", async t => {
		const broker = new ServiceBroker(quiet());
		const overload = new Overload(broker, { whileBusy: 2, always: 10_000 });
		const { promise: held, resolve } = Promise.withResolvers<void>();
		const server = createServer(overload.guard((_req, res) => void held.then(() => res.end("served"))));
		await new Promise<void>(listening => server.listen(0, "127.0.0.1", listening));
		overload.start();
		t.after(() => {
			overload.stop();
			server.close();
			return broker.stop();
		});
		const { port } = server.address() as AddressInfo;
		const ask = () =>
			new Promise<number | undefined>(resolve =>
				get({ port, path: "/v1/note/query", agent: false }, (res: IncomingMessage) => resolve(res.resume().statusCode))
			);

		const kept = Array.from({ length: 10 }, ask);
		await until("ten are under way", () => overload.inFlight === 10);

		const idle = keepBusy();
		t.after(idle);
		const statuses: (number | undefined)[] = [];
		await until("one is refused", () => {
			void ask().then(status => statuses.push(status));
			return statuses.includes(503);
		});
		idle();

		await until("one more is let in", async () => {
			const before = overload.inFlight;
			void ask();
			await delay(120);
			return overload.inFlight > before;
		});
		resolve();
		assert.deepEqual(new Set(await Promise.all(kept)), new Set([200]));
	});

	it("serves whoever comes while the event loop is busy and fewer are under way than it may keep then", t => {
		const { overload, busySample } = sampled(t);
		const served: IncomingMessage[] = [];
		const listener = overload.guard(req => void served.push(req));
		const ask = () => {
			const req = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/v1/note/query" });
			const res = new ServerResponse(req);
			listener(req, res);
			return { res, isServed: served.includes(req) };
		};
		// In one go: the event loop has no pause in which it would become idle.
		for (let i = 0; i < 3; i++) busySample();
		assert.equal(busySample(), 1);
		const first = ask();
		const others = [ask(), ask()];
		assert.deepEqual(
			[first, ...others].map(({ isServed }) => isServed),
			[true, true, false]
		);
		first.res.emit("close");
		assert.equal(ask().isServed, true);
	});

	it("is busy after three tenths of a second without time, not after a burst, and no longer once it has some", async t => {
		const { sample, busySample } = sampled(t);
		// Between two looks the event loop waits.
		const timeToItself = () => until("it has time", () => sample() === 0);
		for (let i = 0; i < 3; i++) busySample();
		await timeToItself();
		assert.deepEqual([busySample(), busySample()], [0, 0]);
		assert.equal(busySample(), 1);
		await timeToItself();
		assert.equal(busySample(), 0);
	});
});

it("A client that goes away before its answer is under way no more", async t => {
	const broker = new ServiceBroker(quiet());
	const overload = new Overload(broker, { whileBusy: 2, always: 100 });
	const server = createServer(overload.guard(() => {}));
	await new Promise<void>(listening => server.listen(0, "127.0.0.1", listening));
	t.after(() => {
		server.closeAllConnections();
		server.close();
		return broker.stop();
	});
	const { port } = server.address() as AddressInfo;
	const request = get({ port, path: "/v1/note/query", agent: false }).on("error", () => {});
	await until("it is under way", () => overload.inFlight === 1);
	request.destroy();
	await until("it is not any more", () => overload.inFlight === 0);
});

/** An Overload whose samples are taken by hand; each tells whether it is busy. */
function sampled(t: TestContext) {
	t.mock.timers.enable({ apis: ["setInterval"] });
	const broker = new ServiceBroker({ ...quiet(), metrics: true });
	const overload = new Overload(broker, { whileBusy: 2, always: 100 });
	overload.start();
	t.after(() => {
		overload.stop();
		return broker.stop();
	});
	const sample = () => {
		t.mock.timers.tick(100);
		return broker.metrics.getMetric("http.busy")?.get()?.value;
	};
	const busySample = () => {
		spin(5);
		return sample();
	};
	return { overload, sample, busySample };
}

function spin(milliseconds: number): void {
	for (const end = performance.now() + milliseconds; performance.now() < end; );
}

/** Leaves the event loop no time to itself. @returns ends that */
function keepBusy(): () => void {
	let next = setImmediate(function again() {
		spin(20);
		next = setImmediate(again);
	});
	return () => clearImmediate(next);
}
