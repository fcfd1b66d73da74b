import type { RequestListener, ServerResponse } from "node:http";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { ServiceBroker } from "moleculer";
import { count, gauge, register } from "../../lib/observability/instruments.ts";
import { newId } from "../../lib/observability/trace-context.ts";
import { answerJson } from "./answer.ts";
import { apiError } from "./api.contract.ts";
import { failure } from "./envelope.ts";
import { routes } from "./routes.ts";

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

/** What an operator or a load balancer asks is answered however much there is to do. */
const vital: ReadonlySet<string> = new Set(routes.filter(({ traced }) => traced === false).map(({ path }) => path));

const { status, body, headers } = failure(apiError("OVERLOADED"));
const answer = JSON.stringify(body);

/**
 * Sheds load: beyond what a gateway can answer in time, requests are refused at once, before anything is done for them.
 * Two signals together tell that it is at its limit: how many requests are under way, and that the event loop has no
 * time left. Many requests that wait for a slow service alone are no reason, until they are too many to keep.
 */
export class Overload {
	readonly #broker: ServiceBroker;
	readonly #limits: OverloadLimits;
	readonly #delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
	#utilization = performance.eventLoopUtilization();
	#timer: NodeJS.Timeout | undefined;
	#inFlight = 0;
	#busySamples = 0;
	readonly #left = () => {
		this.#inFlight--;
	};

	constructor(broker: ServiceBroker, limits: OverloadLimits) {
		this.#broker = broker;
		this.#limits = limits;
		register(broker, [
			{
				...{ type: "counter", name: SHED, labelNames: ["reason"], known: [{ reason: "busy" }, { reason: "full" }] },
				description: "Requests refused with 503 since the gateway had too much to do"
			},
			{ type: "gauge", name: BUSY, description: "Whether the event loop has no time left (1) or has (0)", known: [{}] }
		]);
	}

	/** Requests that are under way. */
	get inFlight(): number {
		return this.#inFlight;
	}

	/** Puts itself before a listener for requests. */
	guard(listener: RequestListener): RequestListener {
		return (req, res) => {
			const reason = this.#reason();
			if (reason && !vital.has(req.url ?? "")) {
				this.#refuse(res, reason);
				return;
			}
			this.#inFlight++;
			res.once("close", this.#left);
			listener(req, res);
		};
	}

	start(): void {
		this.#delay.enable();
		this.#timer = setInterval(() => this.#sample(), SAMPLE_MS).unref();
	}

	stop(): void {
		clearInterval(this.#timer);
		this.#delay.disable();
	}

	#reason(): "busy" | "full" | undefined {
		if (this.#inFlight >= this.#limits.always) return "full";
		return this.#isBusy() && this.#inFlight >= this.#limits.whileBusy ? "busy" : undefined;
	}

	#refuse(res: ServerResponse, reason: string): void {
		count(this.#broker, SHED, { reason });
		answerJson(res, status, answer, { "X-Request-ID": newId(), ...headers });
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
	}

	#isBusy(): boolean {
		return this.#busySamples >= BUSY_SAMPLES;
	}
}
