import { type ConnectionOptions, connect, Events, type NatsConnection } from "nats";

/** `nats://user:password@host:4222` or `nats://token@host:4222`, several separated by commas. */
export function connectionOptions(url: string): ConnectionOptions {
	const servers = url.split(",").map(server => new URL(server.trim()));
	const [first] = servers;
	const user = decodeURIComponent(first?.username ?? "");
	const pass = decodeURIComponent(first?.password ?? "");
	return {
		servers: servers.map(server => server.host),
		...(pass ? { user, pass } : user ? { token: user } : {}),
		...(first?.protocol === "tls:" && { tls: {} })
	};
}

/**
 * Connects now or whenever the server comes up, and never gives up: a server that is away must not end the process.
 * A server that does not answer pings for 10 s counts as away.
 *
 * @param onReconnect called after each connection but the first
 */
export async function connectForever(options: ConnectionOptions, onReconnect: () => void): Promise<NatsConnection> {
	const connection = await connect({
		...options,
		waitOnFirstConnect: true,
		// A stack for every request costs more than the request.
		noAsyncTraces: true,
		maxReconnectAttempts: -1,
		reconnectTimeWait: 250,
		reconnectJitter: 250,
		pingInterval: 5_000,
		maxPingOut: 2
	});
	void (async () => {
		for await (const { type } of connection.status()) if (type === Events.Reconnect) onReconnect();
	})();
	return connection;
}
