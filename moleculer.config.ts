import type { BrokerOptions, ServiceBroker } from "moleculer";
import { banner } from "./lib/banner.ts";
import { cacherOf } from "./lib/cacher.ts";
import { type Env, env, isEmbedded } from "./lib/env.ts";
import { nodeName } from "./lib/node-name.ts";
import { contextMiddleware } from "./lib/observability/current-context.ts";
import { logCommand, logLevelMiddleware } from "./lib/observability/log-level.ts";
import { RequestLogger } from "./lib/observability/logger.ts";
import { metrics } from "./lib/observability/metrics.ts";
import { tracing } from "./lib/observability/tracing.ts";
import { overwritingVariables } from "./lib/option-variables.ts";
import { orderlyStop } from "./lib/orderly-stop.ts";
import { sealedPackets } from "./lib/sealed-packets.ts";
import { natsOptions, tlsCertificates } from "./lib/server-options.ts";
import { DiscreetValidator } from "./lib/validator.ts";
import { EtcdDiscoverer, NatsTransporter, registryCommands, WeightedStrategy } from "./mixins/etcd-registry/index.ts";
import { resilience } from "./mixins/resilience.ts";
import { sagaCommand } from "./mixins/saga/repl.ts";
import { REQUEST_DEADLINE, resiliencePolicies } from "./moleculer.policies.ts";
import packageJson from "./package.json" with { type: "json" };
import { auditCommand } from "./services/audit/audit.repl.ts";
import { lettersCommand } from "./services/letter/letter.repl.ts";
import { notesCommand } from "./services/note/note.repl.ts";

/** The broker's options; only what differs from moleculer's defaults. */
export function brokerOptions(env: Env): BrokerOptions {
	const { middleware: tracingRules, ...traces } = tracing(env, packageJson.version);
	const { middleware: runtimeMetrics, metadata: metricsMetadata, ...measurements } = metrics(env);
	const { middleware: policies, circuitBreaker } = resilience(resiliencePolicies);
	const transporter = env.NATS_URL ? new NatsTransporter(natsOptions(env)) : null;
	const logger = new RequestLogger({ level: env.LOG_LEVEL, json: env.NODE_ENV === "production" });
	return {
		nodeID: nodeName(env),
		namespace: env.MESH_NAME,
		// moleculer's types leave out that a logger may be an instance.
		logger: logger as unknown as NonNullable<BrokerOptions["logger"]>,
		metadata: { ...metricsMetadata, ...(env.NODE_ZONE && { zone: env.NODE_ZONE }) },
		transporter,
		registry: env.ETCD_ENDPOINTS.length > 0 ? etcdRegistry(env) : {},
		validator: new DiscreetValidator(),
		cacher: cacherOf(env),
		requestTimeout: REQUEST_DEADLINE,
		circuitBreaker,
		...traces,
		...measurements,
		middlewares: [
			sealedPackets(env.MESH_KEYS),
			orderlyStop(),
			policies,
			contextMiddleware,
			logLevelMiddleware(logger),
			tracingRules,
			runtimeMetrics
		],
		replOptions: {
			delimiter: "notemesh $",
			customCommands: [notesCommand, auditCommand, lettersCommand, sagaCommand, logCommand, ...registryCommands]
		},

		created(broker) {
			// moleculer logs a service that can not be loaded and goes on without it.
			broker.localBus.on("$broker.error", ({ error, type }: { error: Error; type: string }) => {
				if (type === "failedLoadService") broker.fatal("A service can not be loaded", error, true);
			});
		},

		started(broker) {
			refuseEmptyNode(broker);
			warnOfSmallPackets(broker, transporter?.maxPayload);
			if (isEmbedded(env) && env.NODE_ENV !== "production") process.stdout.write(banner(broker));
		}
	};
}

function etcdRegistry(env: Env): BrokerOptions["registry"] {
	const { ETCD_ENDPOINTS: endpoints, ETCD_USERNAME: username, ETCD_PASSWORD: password } = env;
	return {
		discoverer: new EtcdDiscoverer({
			endpoints,
			...(username && { auth: { username, password } }),
			tls: tlsCertificates(env)
		}),
		strategy: WeightedStrategy,
		strategyOptions: { preferZone: true, leastBusy: true }
	};
}

/** The largest answer: 100 notes of 64 KiB, which JSON may double; docs/operations.md. */
const LARGEST_PACKET = 16 * 1024 * 1024;

function warnOfSmallPackets(broker: ServiceBroker, max_payload = LARGEST_PACKET): void {
	if (max_payload >= LARGEST_PACKET) return;
	broker.logger.warn("NATS takes no packets of 16 MB: large answers will fail. See max_payload in docs/operations.md", {
		max_payload
	});
}

/** A wrong path or mask gives a node that starts "successfully" and serves nothing. */
function refuseEmptyNode(broker: ServiceBroker): void {
	const services = broker.services.filter(service => !service.name.startsWith("$"));
	if (services.length === 0) broker.fatal("No service was loaded: is SERVICEDIR right?", undefined, true);
}

export default (): BrokerOptions => brokerOptions(env(overwritingVariables));
