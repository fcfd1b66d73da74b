import { setTimeout as delay } from "node:timers/promises";
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

const RETRY_MS = 250;

interface Watcher {
	/** Called after each connection but the first. */
	onReconnect(): void;
	/** Called when the first connection does not come about, once for each reason. */
	onFailure(error: unknown): void;
	/** Ends the waiting for the first connection. */
	signal: AbortSignal;
}

/**
 * Connects now or whenever the server comes up and takes the credentials, and never gives up: a server that is away must
 * not end the process. A server that does not answer pings for 10 s counts as away.
 */
export async function connectForever(options: ConnectionOptions, watcher: Watcher): Promise<NatsConnection> {
	const connection = await firstConnection(options, watcher);
	void (async () => {
		for await (const { type } of connection.status()) if (type === Events.Reconnect) watcher.onReconnect();
	})();
	return connection;
}

/** The client's own `waitOnFirstConnect` can not be ended, and tells nobody why it waits. */
async function firstConnection(options: ConnectionOptions, { onFailure, signal }: Watcher): Promise<NatsConnection> {
	for (let told = ""; ; ) {
		signal.throwIfAborted();
		try {
			return await connect({
				...options,
				// A stack for every request costs more than the request.
				noAsyncTraces: true,
				// Credentials may be put right while this process runs.
				ignoreAuthErrorAbort: true,
				maxReconnectAttempts: -1,
				reconnectTimeWait: RETRY_MS,
				reconnectJitter: RETRY_MS,
				pingInterval: 5_000,
				maxPingOut: 2
			});
		} catch (error) {
			if (told !== String(error)) onFailure(error);
			told = String(error);
		}
		await delay(RETRY_MS * (1 + Math.random()), undefined, { signal }).catch(() => {});
	}
}
