/** Opens moleculer-repl on a node of its own that joins the mesh of the environment. */
import { ServiceBroker } from "moleculer";
import { connect } from "nats";
import { env } from "../lib/env.ts";
import { natsOptions } from "../lib/server-options.ts";
import { brokerOptions } from "../moleculer.config.ts";

const NATS_TIMEOUT_MS = 3_000;

const settings = env();
if (!settings.NATS_URL)
	refuse(
		"No mesh is named: NATS_URL is not set. " +
			"Start one with `npm run mesh`, or open the REPL of the embedded node with `npm start -- --repl`."
	);
// A node waits for its NATS; a person wants to know.
const nats = natsOptions(settings);
await connect({ ...nats, reconnect: false, timeout: NATS_TIMEOUT_MS }).then(
	connection => connection.close(),
	error =>
		refuse(
			`The mesh does not answer: NATS at ${[nats.servers].flat().join(", ")} can not be used (${error.message}). ` +
				"Start it with `npm run mesh`, or say in NATS_URL where it is."
		)
);

const { created, started, ...options } = brokerOptions({ ...settings, METRICS_PORT: 0, LOG_LEVEL: "warn" });
const broker = new ServiceBroker({ ...options, nodeID: `repl-${process.pid}` });
await broker.start();
broker.repl();

function refuse(why: string): never {
	console.error(why);
	process.exit(1);
}
