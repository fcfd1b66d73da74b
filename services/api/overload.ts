import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { Logger, ServiceBroker } from "moleculer";
import { count, gauge, register } from "../../lib/observability/instruments.ts";
import { answerJson } from "./answer.ts";
import { apiError } from "./api.contract.ts";
import { failure } from "./envelope.ts";
import { RouteLoad } from "./route-load.ts";
import { allRoutes, matchedRoute } from "./routes.ts";
import { traceOf } from "./trace.ts";

/** When a gateway refuses requests. */
export interface OverloadLimits {
	/** Requests under way from which on more are refused while the event loop is busy. */
	whileBusy: number;
	/** Requests under way from which on more are refused in any case: what waits takes memory. */
	always: number;
}

const SAMPLE_MS = 100;
/** The event loop is busy when it had no more than this share of a sample's time to itself ... */
const BUSY_UTILIZATION = 0.95;
/** ... or timers ran this much later than asked, on average, in milliseconds. */
const BUSY_LAG_MS = 20;
const LAG_RESOLUTION_MS = 10;
/**
 * So many samples in a row make it busy: a burst, or a pause of the machine, is over by then, and what waits is answered
 * within half a second. CoDel, too, asks for an interval without relief before it drops anything (RFC 8289).
 */
const BUSY_SAMPLES = 3;

const SHED = "http.shed.total";
const BUSY = "http.busy";
/** The event loop has no time left, more wait than are kept, or the service behind the route has no room. */
const REASONS = ["busy", "full", "service"] as const;
type Reason = (typeof REASONS)[number];

const { status, body, headers } = failure(apiError("OVERLOADED"));
const answer = JSON.stringify(body);

/**
 * Sheds load: beyond what a gateway can answer in time, requests are refused at once, before anything is done for them.
 * Two signals together tell that it is at its limit: how many requests are under way, and that the event loop has no
 * time left. Many requests that wait for a slow service alone are no reason, until they are too many to keep, or the
 * service says that it has no room for more.
 */
export class Overload {
	readonly #broker: ServiceBroker;
	readonly #logger: Logger;
	readonly #limits: OverloadLimits;
	readonly #delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
	#utilization = performance.eventLoopUtilization();
	#timer: NodeJS.Timeout | undefined;
	readonly #all = { inFlight: 0 };
	readonly #loads = new Map(allRoutes.map(route => [route, new RouteLoad(this.#all)]));
	/** Of requests that no route answers. */
	readonly #strays = new RouteLoad(this.#all);
	#busySamples = 0;

	constructor(broker: ServiceBroker, limits: OverloadLimits) {
		this.#broker = broker;
		this.#logger = broker.getLogger("api");
		this.#limits = limits;
		register(broker, [
			{
				type: "counter",
				name: SHED,
				labelNames: ["reason"],
				known: REASONS.map(reason => ({ reason })),
				description: "Requests refused with 503 since the gateway, or the service behind it, had too much to do"
			},
			{ type: "gauge", name: BUSY, description: "Whether the event loop has no time left (1) or has (0)", known: [{}] }
		]);
	}

	/** Requests that are under way. */
	get inFlight(): number {
		return this.#all.inFlight;
	}

	/** Puts itself before a listener for requests. */
	guard(listener: RequestListener): RequestListener {
		return (req, res) => {
			const load = this.#loadOf(req);
			const reason = this.#reason(load);
			if (reason && matchedRoute(req)?.shed !== false) {
				this.#refuse(req, res, reason);
				return;
			}
			load.begin();
			res.once("close", load.end);
			listener(req, res);
		};
	}

	/** Tells that the service behind a request had no room for it. */
	serviceIsFull(req: IncomingMessage): void {
		const route = matchedRoute(req);
		if (route) this.#loads.get(route)?.refused();
	}

	start(): void {
		this.#delay.enable();
		this.#timer = setInterval(() => this.#sample(), SAMPLE_MS).unref();
	}

	stop(): void {
		clearInterval(this.#timer);
		this.#delay.disable();
	}

	#loadOf(req: IncomingMessage): RouteLoad {
		const route = matchedRoute(req);
		return (route && this.#loads.get(route)) ?? this.#strays;
	}

	#reason(load: RouteLoad): Reason | undefined {
		if (this.inFlight >= this.#limits.always) return "full";
		if (!load.hasRoom()) return "service";
		return this.#isBusy() && this.inFlight >= this.#limits.whileBusy ? "busy" : undefined;
	}

	/** Quietly: lines of the log would be one more thing to do. */
	#refuse(req: IncomingMessage, res: ServerResponse, reason: Reason): void {
		const { traceID } = traceOf(req);
		count(this.#broker, SHED, { reason });
		answerJson(res, status, answer, { "X-Request-ID": traceID, ...headers });
		this.#logger.debug("Request shed", { trace_id: traceID, reason, status });
	}

	#sample(): void {
		const now = performance.eventLoopUtilization();
		const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
		this.#utilization = now;
		const lag = this.#delay.mean / 1e6 - LAG_RESOLUTION_MS;
		this.#delay.reset();
		// A sample without a value has no mean.
		this.#busySamples = utilization >= BUSY_UTILIZATION || lag >= BUSY_LAG_MS ? this.#busySamples + 1 : 0;
		gauge(this.#broker, BUSY, this.#isBusy() ? 1 : 0);
		for (const load of this.#loads.values()) load.sample(this.#limits.always);
	}

	#isBusy(): boolean {
		return this.#busySamples >= BUSY_SAMPLES;
	}
}
