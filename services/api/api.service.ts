import type { CallingOptions, Context, Service, ServiceSchema } from "moleculer";
import ApiGateway, { type Alias, type GatewayResponse, type IncomingRequest } from "moleculer-web";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { type Identity, identityError } from "../../lib/identity.ts";
import { inContext } from "../../lib/observability/current-context.ts";
import { count } from "../../lib/observability/instruments.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { type AccessTokens, accessTokens } from "../../lib/tokens.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { apiError, type Readiness } from "./api.contract.ts";
import { RevokedSessions, tokenOf } from "./authenticate.ts";
import { failure, success } from "./envelope.ts";
import { type Exchange, measure, registerHttpMetrics } from "./http-metrics.ts";
import { openapi } from "./openapi.ts";
import { checkMediaType, requestParams } from "./params.ts";
import { type RateLimit, rateLimit } from "./rate-limit.ts";
import { methodsOf, type RouteDefinition, routeOf, routes } from "./routes.ts";
import { beginTrace, restTracing, traceFailure } from "./trace.ts";

/** A route as moleculer-web hands it back: HEAD is served where GET is. */
type RoutedAlias = Alias & Omit<RouteDefinition, "method"> & { method: RouteDefinition["method"] | "HEAD" };

type RestContext = Context<{ req: IncomingRequest; res: GatewayResponse }>;

interface ApiMethods {
	/** moleculer-web's own: answers with `settings.onError`. */
	sendError(req: IncomingRequest, res: GatewayResponse, error: unknown): void;
	refuseMethod(req: IncomingRequest, res: GatewayResponse): Error;
	learnRevokedSessions(): Promise<void>;
	logExchange(req: IncomingRequest, exchange: Exchange): void;
}

interface ApiVars {
	tokens: AccessTokens;
	revoked: RevokedSessions;
	limits: { all: RateLimit; guarded: RateLimit };
	resync: NodeJS.Timeout;
}

/** The largest legal note is 64 KiB of text, which JSON may escape to six times as much. */
const BODY_LIMIT = "512kb";
/** A revocation whose event was lost is learnt within this time. */
const RESYNC_MS = 60_000;
const READY_TIMEOUT_MS = 1000;

const ApiService: ServiceSchema<Record<string, unknown>, ApiMethods, ApiVars> = {
	name: "api",
	mixins: [RegistryMixin(), ApiGateway as ServiceSchema],

	settings: {
		// Parameters may hold passwords, and URLs what does not belong there: `logExchange` writes a line a request.
		logRequest: null,
		logRequestParams: null,
		logResponse: null,
		logRouteRegistration: "debug",

		/** moleculer-web calls it first of all that it does with a request. */
		rootCallOptions(this: Service & ApiMethods, options: CallingOptions, req: IncomingRequest, res: GatewayResponse) {
			beginTrace(options, req, { trusted: env().TRACE_INCOMING === "continue" });
			measure(this.broker, req, res, exchange => this.logExchange(req, exchange));
		},

		routes: [
			{
				path: "/",
				aliases: Object.fromEntries(
					routes.flatMap(route => {
						const methods = route.method === "GET" ? ["GET", "HEAD"] : [route.method];
						return methods.map(method => [`${method} ${route.path}`, { ...route, method }]);
					})
				),
				mappingPolicy: "restrict",
				mergeParams: false,
				pathToRegexpOptions: { sensitive: true },
				authentication: true,
				bodyParsers: { json: { limit: BODY_LIMIT }, urlencoded: { limit: BODY_LIMIT, extended: false } },

				async onBeforeCall(
					this: ApiVars & ApiMethods,
					_ctx: Context,
					_route: unknown,
					req: IncomingRequest,
					res: GatewayResponse,
					alias: RoutedAlias
				) {
					// moleculer-web looks OPTIONS up as the method that a preflight asks for, and would run that action.
					if (req.method !== alias.method) throw this.refuseMethod(req, res);
					const limit = alias.guarded ? this.limits.guarded : this.limits.all;
					await limit.count(req.socket.remoteAddress ?? "", res);
					checkMediaType(req, alias);
					const { params, body } = req.$params as { params: Record<string, unknown>; body: unknown };
					req.$params = requestParams(alias.method, params, body, searchOf(req));
				},

				onAfterCall(
					ctx: Context<unknown, Record<string, unknown>>,
					_route: unknown,
					req: IncomingRequest,
					_res: unknown,
					data: unknown
				) {
					const { status, location, envelope } = req.$alias as RoutedAlias;
					const fields = data as Record<string, unknown>;
					if (status) ctx.meta.$statusCode = status;
					if (location) ctx.meta.$location = location(fields);
					if (envelope === "none") return data;
					if (envelope !== "tokens") return success(data);
					const { token, expire, refresh_token } = fields;
					return { ...success(data), token, expire, refresh_token };
				}
			}
		],

		onError(
			this: { logger: { error(...args: unknown[]): void } },
			req: IncomingRequest,
			res: GatewayResponse,
			error: unknown
		) {
			if (res.headersSent) return;
			const { status, body, headers } = failure(error);
			if (status >= 500) inContext(req.$ctx, () => this.logger.error("Request failed", { status, error }));
			res.writeHead(status, { "Content-Type": "application/json; charset=utf-8", ...headers });
			res.end(req.method === "HEAD" ? undefined : JSON.stringify(body));
		}
	},

	actions: {
		// The gateway's own management actions: routes are what the table says.
		listAliases: false,
		addRoute: false,
		removeRoute: false,

		rest: { tracing: restTracing },

		ping: { handler: () => ({ message: "pong" }) },

		live: { handler: () => ({ status: "ok" }) },

		ready: {
			async handler(ctx: Context<unknown, Record<string, unknown>>): Promise<Readiness> {
				const ask = (action: "user.ready" | "note.ready") =>
					call(ctx, action, undefined, { timeout: READY_TIMEOUT_MS, retries: 0 }).then(
						() => "ok" as const,
						() => "failed" as const
					);
				const [user, note] = await Promise.all([ask("user.ready"), ask("note.ready")]);
				const { transit, stopping } = this.broker as typeof this.broker & { stopping: boolean };
				const transporter = transit && !transit.connected ? "failed" : "ok";
				const allOk = [user, note, transporter].every(check => check === "ok");
				const status = stopping ? "draining" : allOk ? "ok" : "failed";
				if (status !== "ok") ctx.meta.$statusCode = 503;
				return { status, checks: { user, note, transporter } };
			}
		},

		openapi: { handler: () => openapi(routes, packageJson.version) }
	},

	hooks: {
		after: {
			/** moleculer-web answers null where no route fits, and only then. */
			rest(ctx: RestContext, answered: unknown) {
				if (answered === null) throw this.refuseMethod(ctx.params.req, ctx.params.res);
				return answered;
			}
		},
		error: { rest: traceFailure }
	},

	events: {
		"user.sessionsRevoked"(ctx: Context<{ session_ids: string[] }>) {
			this.revoked.add(ctx.params.session_ids);
		},
		"$services.changed"() {
			this.learnRevokedSessions();
		}
	},

	methods: {
		/** Called by moleculer-web on routes with `authentication`. @throws UNAUTHENTICATED, FORBIDDEN */
		async authenticate(
			_ctx: Context,
			_route: unknown,
			req: IncomingRequest,
			_res: GatewayResponse,
			alias: RoutedAlias
		): Promise<Identity | null> {
			if (!alias.auth) return null;
			const token = tokenOf(req);
			const identity = token ? await this.tokens.verify(token) : null;
			if (!identity || this.revoked.has(identity.session_id)) throw identityError("UNAUTHENTICATED");
			if (alias.role && alias.role !== identity.role) throw identityError("FORBIDDEN");
			return identity;
		},

		/** Called by moleculer-web for every failure of a request. */
		errorHandler(req: IncomingRequest, res: GatewayResponse, error: unknown) {
			this.sendError(req, res, error);
		},

		/** The answer for a path that is known under other methods only, or not at all. */
		refuseMethod(req, res) {
			const methods = methodsOf(req.parsedUrl as string);
			if (methods.length === 0) return apiError("ROUTE_NOT_FOUND");
			res.setHeader("Allow", methods.join(", "));
			return apiError("METHOD_NOT_ALLOWED");
		},

		/** One line a request; a quiet one for what machines ask all day. */
		logExchange(req, { duration, ...exchange }) {
			const limit = env().SLOW_REQUEST_MS;
			const isSlow = limit > 0 && duration > limit;
			const level = isSlow ? "warn" : routeOf(req)?.traced === false ? "debug" : "info";
			const fields = { ...exchange, duration_ms: Math.round(duration) };
			inContext(req.$ctx, () => this.logger[level](isSlow ? "Slow request" : "Request", fields));
		},

		async learnRevokedSessions() {
			if (!this.broker.registry.actions.isAvailable("user.revokedSessions")) return;
			try {
				this.revoked.add(await call(this.broker, "user.revokedSessions", { seconds: env().ACCESS_TOKEN_SECONDS }));
			} catch (error) {
				this.logger.debug("Revoked sessions are not known yet", error);
			}
		}
	},

	created() {
		const { PORT, HOST, ACCESS_TOKEN_SECONDS, REDIS_URL, RATE_LIMIT_PER_MINUTE, LOGIN_LIMIT_PER_MINUTE } = env();
		Object.assign(this.settings, { port: PORT, ip: HOST });
		this.tokens = accessTokens(signingKeys(env()));
		this.revoked = new RevokedSessions(ACCESS_TOKEN_SECONDS);
		registerHttpMetrics(this.broker);
		const limitOf = (name: string, limit: number) => {
			const onRefusal = () => count(this.broker, "http.ratelimit.refusals.total", { limit: name });
			return rateLimit({ name, limit, redisUrl: REDIS_URL, onRefusal });
		};
		this.limits = { all: limitOf("all", RATE_LIMIT_PER_MINUTE), guarded: limitOf("guarded", LOGIN_LIMIT_PER_MINUTE) };
	},

	started() {
		this.resync = setInterval(() => this.learnRevokedSessions(), RESYNC_MS);
	},

	stopped() {
		clearInterval(this.resync);
		this.limits.all.close();
		this.limits.guarded.close();
	}
};

function searchOf(req: IncomingRequest): URLSearchParams {
	const { url = "" } = req;
	return new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?") + 1) : "");
}

export default ApiService;
