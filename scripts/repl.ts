/** Opens moleculer-repl on a node of its own that joins the mesh of the environment. */
import { ServiceBroker } from "moleculer";
import { env } from "../lib/env.ts";
import { brokerOptions } from "../moleculer.config.ts";

const { created, started, ...options } = brokerOptions({ ...env(), METRICS_PORT: 0, LOG_LEVEL: "warn" });
const broker = new ServiceBroker({ ...options, nodeID: `repl-${process.pid}` });
await broker.start();
broker.repl();
