import type { BrokerOptions, ServiceBroker } from "moleculer";
import { banner } from "./lib/banner.ts";
import { type Env, env, isEmbedded } from "./lib/env.ts";
import { nodeName } from "./lib/node-name.ts";
import { sealedPackets } from "./lib/sealed-packets.ts";
import { natsOptions, tlsCertificates } from "./lib/server-options.ts";
import { DiscreetValidator } from "./lib/validator.ts";
import { EtcdDiscoverer, NatsTransporter, registryCommands, WeightedStrategy } from "./mixins/etcd-registry/index.ts";
import { sagaCommand } from "./mixins/saga/repl.ts";
import { notesCommand } from "./services/note/note.repl.ts";

/** The broker's options; only what differs from moleculer's defaults. */
export function brokerOptions(env: Env): BrokerOptions {
	const [agentHost, agentPort] = env.JAEGER_AGENT.split(":");
	return {
		nodeID: nodeName(env),
		namespace: env.MESH_NAME,
		logger: env.NODE_ENV === "production" ? { type: "Pino", options: { pino: { options: {} } } } : true,
		logLevel: env.LOG_LEVEL,
		metadata: env.NODE_ZONE ? { zone: env.NODE_ZONE } : {},
		transporter: env.NATS_URL ? new NatsTransporter(natsOptions(env)) : null,
		middlewares: env.MESH_KEYS.length > 0 ? [sealedPackets(env.MESH_KEYS)] : [],
		registry: env.ETCD_ENDPOINTS.length > 0 ? etcdRegistry(env) : {},
		validator: new DiscreetValidator(),
		requestTimeout: 10_000,
		tracing: {
			enabled: Boolean(agentHost),
			sampling: { rate: env.JAEGER_SAMPLE_RATE },
			// moleculer records all parameters by default, passwords included, and with a refusal what was refused.
			tags: { action: { params: false }, event: { params: false } },
			errorFields: ["name", "message", "code", "type"],
			exporter: { type: "Jaeger", options: { host: agentHost, port: Number(agentPort ?? 6832) } }
		},
		replOptions: { delimiter: "notemesh $", customCommands: [notesCommand, sagaCommand, ...registryCommands] },

		created(broker) {
			// moleculer logs a service that can not be loaded and goes on without it.
			broker.localBus.on("$broker.error", ({ error, type }: { error: Error; type: string }) => {
				if (type === "failedLoadService") broker.fatal("A service can not be loaded", error, true);
			});
		},

		started(broker) {
			refuseEmptyNode(broker);
			if (isEmbedded(env) && env.NODE_ENV !== "production") process.stdout.write(banner(broker));
		}
	};
}

function etcdRegistry(env: Env): BrokerOptions["registry"] {
	const { ETCD_ENDPOINTS: endpoints, ETCD_USERNAME: username, ETCD_PASSWORD: password } = env;
	const { ca, ...certificate } = tlsCertificates(env);
	return {
		discoverer: new EtcdDiscoverer({
			endpoints,
			...(username && { auth: { username, password } }),
			...(ca && endpoints.some(endpoint => endpoint.startsWith("https:")) && { tls: { ca, ...certificate } })
		}),
		strategy: WeightedStrategy,
		strategyOptions: { preferZone: true }
	};
}

/** A wrong path or mask gives a node that starts "successfully" and serves nothing. */
function refuseEmptyNode(broker: ServiceBroker): void {
	const services = broker.services.filter(service => !service.name.startsWith("$"));
	if (services.length === 0) broker.fatal("No service was loaded: is SERVICEDIR right?", undefined, true);
}

export default (): BrokerOptions => brokerOptions(env());
