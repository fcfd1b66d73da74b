import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { firstLine } from "./first-line.ts";
import { LocalServer, type ServerOptions, withDefaults } from "./server.ts";

export interface NatsOptions extends ServerOptions {
	/** Switches JetStream on; its streams are kept in the data folder. */
	jetstream?: boolean;
	/** Text of a NATS configuration file: TLS, users, limits. Packets may have 16 MB unless it says otherwise. */
	config?: string;
}

/** Starts nats-server and waits for its INFO line. */
export async function startNats(options: NatsOptions = {}): Promise<LocalServer> {
	const { port, dataDir, args } = await withDefaults("nats", options);
	const configFile = join(dataDir, "nats.conf");

	const server = new LocalServer({
		name: "nats",
		command: "nats-server",
		args: [
			...["--addr", "127.0.0.1", "--port", String(port), "--config", configFile],
			...(options.jetstream ? ["--jetstream", "--store_dir", dataDir] : []),
			...args
		],
		port,
		dataDir,
		url: `nats://127.0.0.1:${port}`,
		prepare: () => writeFile(configFile, `max_payload: 16MB\n${options.config ?? ""}`),
		async check() {
			const line = await firstLine(port);
			if (!line.startsWith("INFO ")) throw new Error(`Not a NATS server: ${line}`);
		}
	});
	await server.start();
	return server;
}
