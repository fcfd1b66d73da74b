import type { RequestListener, Server } from "node:http";
import type { Context, Service, ServiceSchema } from "moleculer";
import ApiGateway, { type GatewayResponse, type IncomingRequest } from "moleculer-web";
import { env } from "../../lib/env.ts";
import { RegistryMixin } from "../../mixins/etcd-registry/index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { admission } from "./admission.ts";
import { docsFile } from "./api.contract.ts";
import { docsAsset } from "./docs.ts";
import { drainable, untilDraining } from "./drain.ts";
import { type GatewayVars, gatewaySettings } from "./gateway.ts";
import { measureUnread, registerHttpMetrics } from "./http-metrics.ts";
import { httpServer } from "./http-server.ts";
import { openapi } from "./openapi.ts";
import { Overload } from "./overload.ts";
import { readiness } from "./readiness.ts";
import { type RefusalsMethods, RefusalsMixin } from "./refusals.mixin.ts";
import { routes } from "./routes.ts";
import { type SessionsMethods, SessionsMixin } from "./sessions.mixin.ts";
import { restTracing, traceFailure } from "./trace.ts";

interface ApiMethods extends RefusalsMethods, SessionsMethods {
	/** moleculer-web's own: answers with `settings.onError`. */
	sendError(req: IncomingRequest, res: GatewayResponse, error: unknown): void;
}

interface ApiVars extends GatewayVars {
	server: Server;
}

const ApiService: ServiceSchema<Record<string, unknown>, ApiMethods, ApiVars> = {
	name: "api",
	mixins: [RegistryMixin(), SessionsMixin, RefusalsMixin, ApiGateway as ServiceSchema],
	settings: gatewaySettings,

	actions: {
		// The gateway's own management actions: routes are what the table says.
		listAliases: false,
		addRoute: false,
		removeRoute: false,

		rest: { tracing: restTracing },
		ping: { handler: () => ({ message: "pong" }) },
		live: { handler: () => ({ status: "ok" }) },
		ready: { handler: readiness },
		openapi: { handler: () => openapi(routes, packageJson.version, env().PASSWORD_MIN_LENGTH) },

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

	methods: {
		/** Called by moleculer-web before it listens. */
		createServer(
			this: ApiVars & Pick<Service, "broker" | "logger"> & { isHTTPS: boolean; httpHandler: RequestListener }
		) {
			const { CORS_ORIGINS, OVERLOAD_REQUESTS: whileBusy, OVERLOAD_REQUESTS_MAX: always } = env();
			this.overload = new Overload(this.broker, { whileBusy, always });
			const handler = untilDraining(this.broker, this.overload.guard(this.httpHandler));
			this.server = httpServer(handler, {
				corsOrigins: CORS_ORIGINS,
				onUnread: unread => measureUnread(this, unread)
			});
			this.isHTTPS = false;
			// moleculer-web ends the process for a port in use only; for other reasons it would live on without one.
			this.server.once("error", error => {
				if (!this.server.listening) this.broker.fatal(`Can not listen: ${error.message}`, error, true);
			});
		},

		/** Called by moleculer-web for every failure of a request. */
		errorHandler(req: IncomingRequest, res: GatewayResponse, error: unknown) {
			this.sendError(req, res, error);
		}
	},

	created() {
		const { PORT, HOST } = env();
		Object.assign(this.settings, { port: PORT, ip: HOST });
		registerHttpMetrics(this.broker);
		this.admission = admission(env(), this.broker);
		// Before any service of this process stops: requests under way may need them all, and what was refused the audit log.
		const drain = drainable(this.server);
		const stopping = async () => {
			await drain({ notice: env().DRAIN_NOTICE_MS });
			await this.tellRefusals();
		};
		this.broker.middlewares.add({ name: "HttpDrain", stopping });
	},

	started() {
		this.overload.start();
	},

	stopped() {
		this.overload.stop();
		this.admission.close();
	}
};

export default ApiService;
