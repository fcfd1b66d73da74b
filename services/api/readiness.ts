import type { Context } from "moleculer";
import { type Actions, call } from "../../lib/call.ts";
import type { Readiness } from "./api.contract.ts";
import { neighbours } from "./routes.ts";
import type { SessionsMethods } from "./sessions.mixin.ts";

/** How long a service may take to say that it is ready, in milliseconds. */
const TIMEOUT_MS = 1000;

/**
 * Without these a gateway is not ready. The platform is for notes; without another service, only its own routes fail. A
 * load balancer asks all gateways, and they all miss the same service: a longer list would take more users' notes away.
 *
 * The user service is needed once: a gateway that has not learnt from it which sessions ended lets nobody in, while
 * another one may. From then on notes are served to everybody who is logged in, for as long as their access tokens live.
 */
const REQUIRED = ["note", "transporter"];

/** What {@link readiness} keeps in the service. */
interface ReadinessVars {
	/** Whether each service is ready, and whether ended sessions are known, while that is being asked. */
	asked?: Promise<[ready: boolean[], knowsSessions: boolean]> | undefined;
}

/**
 * Asks one node of each service behind the routes, all at once. The gateway is ready while those answer that it can not
 * do without; the others are told of. Nobody limits how often this is asked for, so those who ask together share the
 * answers.
 */
export async function readiness(
	this: SessionsMethods & ReadinessVars,
	ctx: Context<unknown, Record<string, unknown>>
): Promise<Readiness> {
	this.asked ??= Promise.all([
		Promise.all(neighbours.map(service => isReady(ctx, service))),
		this.knowsSessions()
	]).finally(() => {
		this.asked = undefined;
	});
	const [answers, knowsSessions] = await this.asked;
	const checks = Object.fromEntries(neighbours.map((service, i) => [service, answers[i] ? "ok" : "failed"] as const));
	if (!knowsSessions) checks.user = "failed";
	const { transit, started, servicesStarting } = ctx.broker;
	checks.transporter = transit && !transit.connected ? "failed" : "ok";

	const needed = knowsSessions ? REQUIRED : [...REQUIRED, "user"];
	const ready = needed.every(name => checks[name] === "ok");
	// Of all that a broker does to stop, it first says that it is not started.
	const isDraining = !started && !servicesStarting;
	const status = isDraining ? "draining" : ready && started ? "ok" : "failed";
	if (status !== "ok") ctx.meta.$statusCode = 503;
	return { status, checks };
}

function isReady(ctx: Context, service: string): Promise<boolean> {
	const action = `${service}.ready` as Extract<keyof Actions, `${string}.ready`>;
	return call(ctx, action, undefined, { timeout: TIMEOUT_MS, retries: 0 }).then(
		() => true,
		() => false
	);
}
