import type { Service, ServiceSchema } from "moleculer";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { type ClientAddress, clientAddress } from "./client-address.ts";
import type { GatewayRequest } from "./gateway.ts";
import { Refusals } from "./refusals.ts";
import { matchedRoute } from "./routes.ts";

const WINDOW_MS = 60_000;
/** How long the audit log may take, in milliseconds: a gateway that stops waits for it. */
const TIMEOUT_MS = 3_000;

/** What the mixin adds to `this`. */
export interface RefusalsMethods {
	/** Counts a request that was refused before it reached an action. */
	refused(req: GatewayRequest, status: number, error: unknown): void;
	/** Tells the audit log at once what was counted. Does not reject: what it does not take is kept for the next time. */
	tellRefusals(): Promise<void>;
}

const counted = new WeakMap<Service, { refusals: Refusals; addressOf: ClientAddress; timer: NodeJS.Timeout }>();

/**
 * Reports what the gateway itself refuses to the audit log, once a minute: who may not, comes without a token, or can not
 * be read. What is counted when the broker stops is the service's to tell, while the audit log is still there.
 */
export const RefusalsMixin: Partial<ServiceSchema> = {
	methods: {
		refused(this: Service, req: GatewayRequest, status: number, error: unknown) {
			const route = matchedRoute(req);
			const isAudited = route && (route.method !== "GET" || route.role);
			const counting = counted.get(this);
			if (!counting || !isAudited || req.isCalled || !req.$ctx || status < 400 || status >= 500) return;
			counting.refusals.count(req.$ctx, {
				action: route.action,
				error,
				address: counting.addressOf(req),
				...(req.identity && { user_id: req.identity.id })
			});
		},

		async tellRefusals(this: Service) {
			await counted
				.get(this)
				?.refusals.tell(refusals => call(this.broker, "audit.refused", { refusals }, { timeout: TIMEOUT_MS }))
				.catch(error => this.logger.warn("The audit log could not be told of refusals", error));
		}
	},

	started() {
		const timer = setInterval(() => this.tellRefusals(), WINDOW_MS).unref();
		counted.set(this, { refusals: new Refusals(), addressOf: clientAddress(env().TRUST_PROXY), timer });
	},

	stopped() {
		clearInterval(counted.get(this)?.timer);
	}
};
