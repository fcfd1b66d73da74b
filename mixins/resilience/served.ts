import {
	type ActionHandler,
	type ActionSchema,
	type BrokerOptions,
	type Context,
	Errors,
	type Service
} from "moleculer";
import type { Policy } from "./policy.ts";

/** When a node is not called for an action any more: too many of its answers in a row of time were failures of its own. */
export interface BreakerRules {
	/** Share of failures that opens it, from 0 to 1. */
	threshold: number;
	/** Calls that are needed to judge. */
	calls: number;
	/** Over which time calls are counted, in seconds. */
	seconds: number;
	/** How long the node is left alone until one call tries it, in milliseconds. */
	pause: number;
}

/** Failures that say nothing about the node that reports them: it is busy, or asked somebody who was away. */
const NOT_ITS_OWN = new Set([
	"SERVICE_NOT_FOUND",
	"SERVICE_NOT_AVAILABLE",
	"BROKER_DISCONNECTED",
	"REQUEST_TIMEOUT",
	"REQUEST_SKIPPED",
	"REQUEST_REJECTED",
	"QUEUE_FULL"
]);

/** moleculer's circuit breaker, per action and node. */
export function breaker({
	threshold,
	calls,
	seconds,
	pause
}: BreakerRules): NonNullable<BrokerOptions["circuitBreaker"]> {
	return {
		enabled: true,
		threshold,
		minRequestCount: calls,
		windowTime: seconds,
		halfOpenTime: pause,
		check(error) {
			const { code, type } = error as { code?: unknown; type?: unknown };
			return !(typeof code === "number" && code < 500) && !NOT_ITS_OWN.has(String(type));
		}
	};
}

/** Gives an action of this node what its policy says, as moleculer's own middlewares will read it. */
export function configure(action: ActionSchema, policy: Policy | undefined): void {
	// A node does not refuse what others send it: they have their own breakers.
	action.circuitBreaker = { ...action.circuitBreaker, enabled: false };
	if (!policy) return;
	Object.assign(action, { timeout: policy.deadline });
	const { bulkhead } = policy;
	if (bulkhead) action.bulkhead = { enabled: true, concurrency: bulkhead.atOnce, maxQueueSize: bulkhead.waiting };
}

/** Lets the breaker judge the nodes that serve an action, whatever they have announced with it. */
export function judge(action: ActionSchema): void {
	action.circuitBreaker = { ...action.circuitBreaker, enabled: true };
}

/** Wraps the handler of an action with a bulkhead, inside of it: what has waited for too long has nobody waiting for it. */
export function unlessLate(handler: ActionHandler, onLate: () => void): ActionHandler {
	return function (this: Service, ctx) {
		if (!isLate(ctx)) return handler.call(this, ctx);
		onLate();
		return Promise.reject(new Errors.RequestSkippedError({ action: ctx.action?.name ?? "", nodeID: ctx.nodeID ?? "" }));
	};
}

function isLate({ options, startHrTime }: Context): boolean {
	const { timeout } = options;
	if (!timeout || !startHrTime) return false;
	const [seconds, nanoseconds] = process.hrtime(startHrTime as unknown as [number, number]);
	return seconds * 1e3 + nanoseconds / 1e6 >= timeout;
}
