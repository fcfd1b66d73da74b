import type { Context, Service, ServiceSchema } from "moleculer";
import type { GatewayResponse } from "moleculer-web";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { type Identity, identityError } from "../../lib/identity.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { type AccessTokens, accessTokens } from "../../lib/tokens.ts";
import { MOST_REVOKED } from "../user/user.contract.ts";
import { RevokedSessions, tokenOf } from "./authenticate.ts";
import type { GatewayRequest, GatewayVars, RoutedAlias } from "./gateway.ts";

/** What the mixin adds to `this`. */
export interface SessionsMethods {
	/** Whether it is known which sessions have ended, which it asks for if not; until then nobody with a token is let in. */
	knowsSessions(): Promise<boolean>;
}

/** What the mixin keeps of each gateway. */
interface Sessions {
	tokens: AccessTokens;
	revoked: RevokedSessions;
	resync?: NodeJS.Timeout;
}

/** A revocation whose event was lost is learnt within this time. */
const RESYNC_MS = 60_000;

const sessions = new WeakMap<Service, Sessions>();
const sessionsOf = (service: Service) => sessions.get(service) as Sessions;

/** Who makes a request: verifies access tokens, and knows whose sessions ended before them. */
export const SessionsMixin: Partial<ServiceSchema> = {
	methods: {
		/** Called by moleculer-web on routes with `authentication`. @throws UNAUTHENTICATED, FORBIDDEN */
		async authenticate(
			this: Service & GatewayVars,
			_ctx: Context,
			_route: unknown,
			req: GatewayRequest,
			res: GatewayResponse,
			alias: RoutedAlias
		): Promise<Identity | null> {
			if (!alias.auth) return letIn(req, null);
			const { tokens, revoked } = sessionsOf(this);
			const token = tokenOf(req);
			const identity = token ? await tokens.verify(token) : null;
			if (identity && !revoked.complete) await learn(this);
			if (!identity || revoked.has(identity.session_id)) throw identityError("UNAUTHENTICATED");
			req.identity = identity;
			await this.admission.user(identity.id, res);
			if (alias.role && alias.role !== identity.role) throw identityError("FORBIDDEN");
			if (alias.attempt === "user") req.attempt = await this.admission.attempt(`user ${identity.id}`, req, res);
			return letIn(req, identity);
		},

		async knowsSessions(this: Service) {
			const { revoked } = sessionsOf(this);
			if (!revoked.complete) await tryToLearn(this);
			return revoked.complete;
		}
	},

	events: {
		"user.sessionsRevoked"(this: Service, ctx: Context<{ session_ids: string[] }>) {
			sessionsOf(this).revoked.add(ctx.params.session_ids);
		},
		"$services.changed"(this: Service) {
			return tryToLearn(this);
		}
	},

	created() {
		const { ACCESS_TOKEN_SECONDS } = env();
		sessions.set(this, {
			// A token from before a restart, with a longer life, would outlive what is known of ended sessions.
			tokens: accessTokens(signingKeys(env()), ACCESS_TOKEN_SECONDS),
			revoked: new RevokedSessions(ACCESS_TOKEN_SECONDS)
		});
	},

	started() {
		sessionsOf(this).resync = setInterval(tryToLearn, RESYNC_MS, this);
	},

	stopped() {
		clearInterval(sessionsOf(this).resync);
	}
};

/** Nothing of the gateway is between here and the action. */
function letIn<Who extends Identity | null>(req: GatewayRequest, identity: Who): Who {
	req.isCalled = true;
	return identity;
}

async function learn(service: Service): Promise<void> {
	const { revoked } = sessionsOf(service);
	const seconds = env().ACCESS_TOKEN_SECONDS;
	for (let after: string | undefined; ; ) {
		const ids = await call(service.broker, "user.revokedSessions", { seconds, ...(after && { after }) });
		revoked.add(ids);
		if (ids.length < MOST_REVOKED) break;
		after = ids.at(-1);
	}
	revoked.complete = true;
}

async function tryToLearn(service: Service): Promise<void> {
	if (!service.broker.registry.actions.isAvailable("user.revokedSessions")) return;
	await learn(service).catch(error => service.logger.warn("Revoked sessions are not known yet", error));
}
