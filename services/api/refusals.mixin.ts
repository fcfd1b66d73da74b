import type { Service, ServiceSchema } from "moleculer";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { clientAddress } from "./client-address.ts";
import type { GatewayRequest } from "./gateway.ts";
import { Refusals } from "./refusals.ts";
import { matchedRoute } from "./routes.ts";

const WINDOW_MS = 60_000;

/** What the mixin adds to `this`. */
export interface RefusalsMethods {
	/** Counts a request that was refused before it reached an action. */
	refused(req: GatewayRequest, status: number, error: unknown): void;
	/** Tells the audit log at once what was counted. */
	tellRefusals(): Promise<void>;
}

const counted = new WeakMap<Service, { refusals: Refusals; timer: NodeJS.Timeout }>();

/** Reports what the gateway itself refuses to the audit log: who may not, comes without a token, or can not be read. */
export const RefusalsMixin: Partial<ServiceSchema> = {
	methods: {
		refused(this: Service, req: GatewayRequest, status: number, error: unknown) {
			const route = matchedRoute(req);
			const isAudited = route && (route.method !== "GET" || route.role);
			if (!isAudited || req.isCalled || !req.$ctx || status < 400 || status >= 500) return;
			counted.get(this)?.refusals.count(req.$ctx, {
				...{ action: route.action, error },
				address: clientAddress(env().TRUST_PROXY)(req),
				...(req.identity && { user_id: req.identity.id })
			});
		},

		async tellRefusals(this: Service) {
			await counted
				.get(this)
				?.refusals.tell(refusals => call(this.broker, "audit.refused", { refusals }))
				.catch(error => this.logger.warn("The audit log could not be told of refusals, trying again", error));
		}
	},

	started() {
		const timer = setInterval(() => this.tellRefusals(), WINDOW_MS).unref();
		counted.set(this, { refusals: new Refusals(), timer });
	},

	async stopped() {
		clearInterval(counted.get(this)?.timer);
		await this.tellRefusals();
	}
};
