import type { RequestListener, Server } from "node:http";
import type { CallingOptions, Context, Service, ServiceSchema } from "moleculer";
import ApiGateway, { type Alias, type GatewayResponse, type IncomingRequest } from "moleculer-web";
import { call } from "../../lib/call.ts";
import { env } from "../../lib/env.ts";
import { type Identity, identityError, type Meta } from "../../lib/identity.ts";
import { inContext } from "../../lib/observability/current-context.ts";
import { signingKeys } from "../../lib/signing-keys.ts";
import { type AccessTokens, accessTokens } from "../../lib/tokens.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { type Admission, type Attempt, admission } from "./admission.ts";
import { apiError, docsFile, type Readiness } from "./api.contract.ts";
import { RevokedSessions, tokenOf } from "./authenticate.ts";
import { checkMediaType, readBody } from "./body.ts";
import { docsAsset } from "./docs.ts";
import { failure, success } from "./envelope.ts";
import { type Exchange, measure, registerHttpMetrics } from "./http-metrics.ts";
import { httpServer } from "./http-server.ts";
import { openapi } from "./openapi.ts";
import { type Params, requestParams, urlencodedFields } from "./params.ts";
import { idempotencyKey, splitUrl } from "./request.ts";
import { allRoutes, matchedRoute, methodsOf, type RouteDefinition, routes, routesAt } from "./routes.ts";
import { beginTrace, restTracing, traceFailure } from "./trace.ts";

/** A route as moleculer-web hands it back: HEAD is served where GET is. */
type RoutedAlias = Alias & Omit<RouteDefinition, "method"> & { method: RouteDefinition["method"] | "HEAD" };

/** A request on its way through the gateway. */
interface Request extends IncomingRequest {
	/** The try of a password that it makes. */
	attempt?: Attempt;
}

interface ApiMethods {
	/** moleculer-web's own: answers with `settings.onError`. */
	sendError(req: IncomingRequest, res: GatewayResponse, error: unknown): void;
	logExchange(req: IncomingRequest, exchange: Exchange): void;
	routeOf(req: IncomingRequest, res: GatewayResponse): RouteDefinition;
	learnRevokedSessions(): Promise<void>;
	tryToLearnRevokedSessions(): Promise<void>;
}

interface ApiVars {
	server: Server;
	tokens: AccessTokens;
	revoked: RevokedSessions;
	admission: Admission;
	resync: NodeJS.Timeout;
}

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
					allRoutes.flatMap(route =>
						methodsOf([route]).map(method => [`${method} ${route.path}`, { ...route, method }])
					)
				),
				mappingPolicy: "restrict",
				mergeParams: false,
				pathToRegexpOptions: { sensitive: true },
				authentication: true,
				bodyParsers: false,
				use: [admit, readBody],

				async onBeforeCall(
					this: ApiVars,
					ctx: Context<unknown, Meta>,
					_route: unknown,
					req: Request,
					res: GatewayResponse,
					alias: RoutedAlias
				) {
					if (alias.idempotent) ctx.meta.idempotency_key = idempotencyKey(req);
					const { params, body } = req.$params as { params: Params; body: Params };
					const given = requestParams(alias, { path: params, query: urlencodedFields(splitUrl(req).search), body });
					req.$params = given;
					if (alias.attempt === "username" && typeof given.username === "string")
						req.attempt = await this.admission.attempt(`name ${given.username.trim()}`, req, res);
				},

				async onAfterCall(
					ctx: Context<unknown, Record<string, unknown>>,
					_route: unknown,
					req: Request,
					_res: unknown,
					data: unknown
				) {
					const { envelope, ...route } = req.$alias as RoutedAlias;
					const fields = data as Record<string, unknown>;
					await req.attempt?.succeeded();
					const { status, location } = route.pending && fields.status === "pending" ? route.pending : route;
					if (status) ctx.meta.$statusCode = status;
					// moleculer-web's own `$location` is left out of a 202.
					if (location) ctx.meta.$responseHeaders = { Location: location(fields) };
					if (envelope === "none") return data;
					if (envelope !== "tokens") return success(data);
					const { token, expire, refresh_token } = fields;
					return { ...success(data), token, expire, refresh_token };
				}
			}
		],

		onError(
			this: ApiMethods & { logger: { error(...args: unknown[]): void } },
			req: Request,
			res: GatewayResponse,
			error: unknown
		) {
			if (res.headersSent) return;
			const { status, body, headers } = failure(error);
			if (status !== 401) req.attempt?.unjudged();
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
				// Of all that a broker does to stop, it first says that it is not started.
				const { transit, started } = this.broker;
				const transporter = transit && !transit.connected ? "failed" : "ok";
				const allOk = [user, note, transporter].every(check => check === "ok");
				const status = started ? (allOk ? "ok" : "failed") : "draining";
				if (status !== "ok") ctx.meta.$statusCode = 503;
				return { status, checks: { user, note, transporter } };
			}
		},

		openapi: { handler: () => openapi(routes, packageJson.version) },

		docs: {
			params: docsFile,
			handler(ctx: Context<{ file?: string }, Record<string, unknown>>): Buffer {
				const { content, type, headers } = docsAsset(ctx.params.file ?? "");
				Object.assign(ctx.meta, { $responseType: type, $responseHeaders: headers });
				return content;
			}
		}
	},

	hooks: { error: { rest: traceFailure } },

	events: {
		"user.sessionsRevoked"(ctx: Context<{ session_ids: string[] }>) {
			this.revoked.add(ctx.params.session_ids);
		},
		"$services.changed"() {
			return this.tryToLearnRevokedSessions();
		}
	},

	methods: {
		/** Called by moleculer-web before it listens. */
		createServer(this: { server: Server; isHTTPS: boolean; httpHandler: RequestListener }) {
			this.server = httpServer(this.httpHandler, env().CORS_ORIGINS);
			this.isHTTPS = false;
		},

		/** Called by moleculer-web on routes with `authentication`. @throws UNAUTHENTICATED, FORBIDDEN */
		async authenticate(
			_ctx: Context,
			_route: unknown,
			req: Request,
			res: GatewayResponse,
			alias: RoutedAlias
		): Promise<Identity | null> {
			if (!alias.auth) return null;
			const token = tokenOf(req);
			const identity = token ? await this.tokens.verify(token) : null;
			if (identity && !this.revoked.complete) await this.learnRevokedSessions();
			if (!identity || this.revoked.has(identity.session_id)) throw identityError("UNAUTHENTICATED");
			await this.admission.user(identity.id, res);
			if (alias.role && alias.role !== identity.role) throw identityError("FORBIDDEN");
			if (alias.attempt === "user") req.attempt = await this.admission.attempt(`user ${identity.id}`, req, res);
			return identity;
		},

		/** Called by moleculer-web for every failure of a request. */
		errorHandler(req: IncomingRequest, res: GatewayResponse, error: unknown) {
			this.sendError(req, res, error);
		},

		/** One line a request; a quiet one for what machines ask all day. */
		logExchange(req, { duration, ...exchange }) {
			const limit = env().SLOW_REQUEST_MS;
			const isSlow = limit > 0 && duration > limit;
			const level = isSlow ? "warn" : matchedRoute(req)?.traced === false ? "debug" : "info";
			const fields = { ...exchange, duration_ms: Math.round(duration) };
			inContext(req.$ctx, () => this.logger[level](isSlow ? "Slow request" : "Request", fields));
		},

		/** The route of a request, also where moleculer-web would take another. @throws ROUTE_NOT_FOUND, METHOD_NOT_ALLOWED */
		routeOf(req, res) {
			const found = routesAt(req.parsedUrl);
			const route = found.find(candidate => methodsOf([candidate]).includes(req.method as string));
			if (route) return route;
			if (found.length === 0) throw apiError("ROUTE_NOT_FOUND");
			res.setHeader("Allow", methodsOf(found).join(", "));
			throw apiError("METHOD_NOT_ALLOWED");
		},

		async learnRevokedSessions() {
			this.revoked.add(await call(this.broker, "user.revokedSessions", { seconds: env().ACCESS_TOKEN_SECONDS }));
			this.revoked.complete = true;
		},

		async tryToLearnRevokedSessions() {
			if (!this.broker.registry.actions.isAvailable("user.revokedSessions")) return;
			await this.learnRevokedSessions().catch(error => this.logger.debug("Revoked sessions are not known yet", error));
		}
	},

	created() {
		const { PORT, HOST, ACCESS_TOKEN_SECONDS } = env();
		Object.assign(this.settings, { port: PORT, ip: HOST });
		this.tokens = accessTokens(signingKeys(env()));
		this.revoked = new RevokedSessions(ACCESS_TOKEN_SECONDS);
		registerHttpMetrics(this.broker);
		this.admission = admission(env(), this.broker);
	},

	started() {
		this.resync = setInterval(() => this.tryToLearnRevokedSessions(), RESYNC_MS);
	},

	stopped() {
		clearInterval(this.resync);
		this.admission.close();
	}
};

/** Middleware for what is refused before the body is read, if only because there is nobody to read it for. */
function admit(
	this: ApiVars & ApiMethods,
	req: IncomingRequest,
	res: GatewayResponse,
	next: (error?: unknown) => void
): void {
	const [route] = routesAt(req.parsedUrl);
	this.admission
		.request(req, res, route)
		.then(() => checkMediaType(req, this.routeOf(req, res)))
		.then(next, next);
}

export default ApiService;
