import type { CallingOptions, Context, Service } from "moleculer";
import type { Alias, GatewayResponse, IncomingRequest } from "moleculer-web";
import { env } from "../../lib/env.ts";
import { hasType } from "../../lib/errors.ts";
import type { Identity, Meta } from "../../lib/identity.ts";
import { inContext } from "../../lib/observability/current-context.ts";
import type { Admission, Attempt } from "./admission.ts";
import { answerJson } from "./answer.ts";
import { apiError } from "./api.contract.ts";
import { checkBody, readBody } from "./body.ts";
import { failure, success } from "./envelope.ts";
import { type Exchange, measure } from "./http-metrics.ts";
import type { Overload } from "./overload.ts";
import { type Params, requestParams, urlencodedFields } from "./params.ts";
import type { RefusalsMethods } from "./refusals.mixin.ts";
import { idempotencyKey, splitUrl } from "./request.ts";
import { allRoutes, matchedRoute, methodsOf, type RouteDefinition, routesAt } from "./routes.ts";
import { beginTrace } from "./trace.ts";

/** A route as moleculer-web hands it back: HEAD is served where GET is. */
export type RoutedAlias = Alias & Omit<RouteDefinition, "method"> & { method: RouteDefinition["method"] | "HEAD" };

/** A request on its way through the gateway. */
export interface GatewayRequest extends IncomingRequest {
	/** The try of a password that it makes. */
	attempt?: Attempt;
	/** Whose token it carries, whatever that is good for. */
	identity?: Identity;
	/** It was let in: what is refused from here on, an action refuses. */
	isCalled?: true;
}

/** What the gateway's settings need of the service. */
export interface GatewayVars {
	admission: Admission;
	overload: Overload;
}

/** The settings of moleculer-web: how a request becomes a call, and its result an answer. */
export const gatewaySettings = {
	// Parameters may hold passwords, and URLs what does not belong there: `logExchange` writes a line a request.
	logRequest: null,
	logRequestParams: null,
	logResponse: null,
	logRouteRegistration: "debug",

	/** moleculer-web calls it first of all that it does with a request. */
	rootCallOptions(this: Service, options: CallingOptions, req: IncomingRequest, res: GatewayResponse) {
		beginTrace(options, req);
		// moleculer-web sets it later: the rest of the request may be refused before that.
		res.setHeader("X-Request-ID", String(options.requestID));
		measure(this.broker, req, res, exchange => logExchange(this, req, exchange));
	},

	routes: [
		{
			path: "/",
			aliases: Object.fromEntries(
				allRoutes.flatMap(route => methodsOf([route]).map(method => [`${method} ${route.path}`, { ...route, method }]))
			),
			mappingPolicy: "restrict",
			mergeParams: false,
			pathToRegexpOptions: { sensitive: true },
			authentication: true,
			bodyParsers: false,
			use: [admit, readBody],
			onBeforeCall,
			onAfterCall
		}
	],

	onError(this: Service & RefusalsMethods & GatewayVars, req: GatewayRequest, res: GatewayResponse, error: unknown) {
		if (res.headersSent) return;
		const { status, body, headers } = failure(error);
		const isWrong = status === 401 || hasType(error, "IDEMPOTENCY_KEY_REUSED");
		if (!isWrong) req.attempt?.unjudged();
		this.refused(req, status, error);
		if (hasType(error, "QUEUE_FULL")) this.overload.serviceIsFull(req);
		if (status >= 500) inContext(req.$ctx, () => this.logger.error("Request failed", { status, error }));
		answerJson(res, status, JSON.stringify(body), headers);
	}
};

async function onBeforeCall(
	this: GatewayVars,
	ctx: Context<unknown, Meta>,
	_route: unknown,
	req: GatewayRequest,
	res: GatewayResponse,
	alias: RoutedAlias
): Promise<void> {
	const key = alias.idempotent && idempotencyKey(req);
	if (key) ctx.meta.idempotency_key = key;
	const { params, body } = req.$params as { params: Params; body: Params };
	const given = requestParams(alias, { path: params, query: urlencodedFields(splitUrl(req).search), body });
	req.$params = given;
	if (typeof given.username !== "string") return;
	const name = given.username.trim();
	if (alias.attempt === "username") req.attempt = await this.admission.attempt(`name ${name}`, req, res);
	if (alias.attempt === "key" && key) req.attempt = await this.admission.attempt(`key ${key} ${name}`, req, res);
}

async function onAfterCall(
	ctx: Context<unknown, Record<string, unknown>>,
	_route: unknown,
	req: GatewayRequest,
	_res: unknown,
	data: unknown
): Promise<unknown> {
	const route = req.$alias as RoutedAlias;
	const fields = data as Record<string, unknown>;
	await req.attempt?.succeeded();
	const { status, location } = route.pending && fields.status === "pending" ? route.pending : route;
	if (status) ctx.meta.$statusCode = status;
	if (location) {
		// moleculer-web leaves `$location` out of a 202, and warns of a 201 without it.
		ctx.meta.$location = location(fields);
		ctx.meta.$responseHeaders = { Location: ctx.meta.$location };
	}
	if (route.envelope === "none") return data;
	if (route.envelope !== "tokens") return success(data);
	const { token, expire, refresh_token } = fields;
	return { ...success(data), token, expire, refresh_token };
}

/** Middleware for what is refused before the body is read, if only because there is nobody to read it for. */
function admit(this: GatewayVars, req: IncomingRequest, res: GatewayResponse, next: (error?: unknown) => void): void {
	const route = matchedRoute(req) ?? routesAt(splitUrl(req).path)[0];
	this.admission
		.request(req, res, route)
		.then(() => checkBody(req, routeOf(req, res)))
		.then(next, next);
}

/** The route of a request, also where moleculer-web would take another. @throws ROUTE_NOT_FOUND, METHOD_NOT_ALLOWED */
function routeOf(req: IncomingRequest, res: GatewayResponse): RouteDefinition {
	const route = matchedRoute(req);
	if (route) return route;
	const found = routesAt(splitUrl(req).path);
	if (found.length === 0) throw apiError("ROUTE_NOT_FOUND");
	res.setHeader("Allow", methodsOf(found).join(", "));
	throw apiError("METHOD_NOT_ALLOWED");
}

/** One line a request; a quiet one for what machines ask all day. */
function logExchange({ logger }: Service, req: IncomingRequest, { duration, ...exchange }: Exchange): void {
	const limit = env().SLOW_REQUEST_MS;
	const isSlow = limit > 0 && duration > limit;
	const level = isSlow ? "warn" : matchedRoute(req)?.traced === false ? "debug" : "info";
	const fields = { ...exchange, duration_ms: Math.round(duration) };
	inContext(req.$ctx, () => logger[level](isSlow ? "Slow request" : "Request", fields));
}
