import { firstLine } from "./first-line.ts";
import { LocalServer, type ServerOptions, withDefaults } from "./server.ts";

export interface RedisOptions extends ServerOptions {
	/** Keeps every write on disk (append-only file, synced always), so that a killed server loses none. */
	durable?: boolean;
}

/** Starts redis-server and waits until it answers PING. */
export async function startRedis(options: RedisOptions = {}): Promise<LocalServer> {
	const { port, dataDir, args } = await withDefaults("redis", options);

	const server = new LocalServer({
		name: "redis",
		command: "redis-server",
		args: [
			...["--bind", "127.0.0.1", "--port", String(port), "--dir", dataDir, "--save", ""],
			...(options.durable ? ["--appendonly", "yes", "--appendfsync", "always"] : []),
			...args
		],
		port,
		dataDir,
		url: `redis://127.0.0.1:${port}`,
		async check() {
			const answer = await firstLine(port, "PING\r\n");
			// A server with a password is up as well; it only does not talk to strangers.
			if (answer !== "+PONG" && !answer.startsWith("-NOAUTH")) throw new Error(`Redis answered ${answer}`);
		}
	});
	await server.start();
	return server;
}
