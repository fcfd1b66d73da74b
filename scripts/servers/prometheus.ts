import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalServer, type ServerOptions, withDefaults } from "./server.ts";

export interface PrometheusOptions extends ServerOptions {
	/** Text of `prometheus.yml`. */
	config: string;
}

/** Starts Prometheus and waits until it is ready for queries. */
export async function startPrometheus(options: PrometheusOptions): Promise<LocalServer> {
	const { port, dataDir, args } = await withDefaults("prometheus", options);
	const configFile = join(dataDir, "prometheus.yml");
	const url = `http://127.0.0.1:${port}`;

	const server = new LocalServer({
		name: "prometheus",
		command: "prometheus",
		args: [
			`--config.file=${configFile}`,
			`--storage.tsdb.path=${join(dataDir, "tsdb")}`,
			`--web.listen-address=127.0.0.1:${port}`,
			...args
		],
		port,
		dataDir,
		url,
		prepare: () => writeFile(configFile, options.config),
		async check() {
			const answer = await fetch(`${url}/-/ready`);
			if (!answer.ok) throw new Error(`Prometheus is not ready: ${answer.status}`);
		}
	});
	await server.start();
	return server;
}
