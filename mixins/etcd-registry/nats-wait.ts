import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { backoffDelay } from "./backoff.ts";

const BACKOFF = { base: 100, max: 2000 };
const CONNECT_TIMEOUT = 2000;
const DEFAULT_PORT = 4222;

interface Waiting {
	logger: { warn(message: string): void; info(message: string): void };
	/** Ends the waiting. */
	isOver: () => boolean;
}

/**
 * Waits until one of several NATS servers takes connections. What is missing is said once, and when it is there.
 * @param servers `host:port` or URLs
 */
export async function untilListening(servers: readonly string[], { logger, isOver }: Waiting): Promise<void> {
	for (let attempt = 0; !isOver(); attempt++) {
		const open = await Promise.all(servers.map(takesConnections));
		if (open.includes(true)) {
			if (attempt > 0) logger.info("NATS can be reached now.");
			return;
		}
		if (attempt === 0)
			logger.warn(
				`NATS at ${servers.map(hostOf).join(", ")} cannot be reached; waiting for it, and going on by itself.`
			);
		await delay(backoffDelay(BACKOFF, attempt));
	}
}

function takesConnections(server: string): Promise<boolean> {
	const { hostname, port } = urlOf(server);
	return new Promise(resolve => {
		const socket = connect({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || DEFAULT_PORT });
		const end = (open: boolean) => {
			socket.destroy();
			resolve(open);
		};
		socket.setTimeout(CONNECT_TIMEOUT, () => end(false));
		socket.once("connect", () => end(true));
		socket.once("error", () => end(false));
	});
}

function urlOf(server: string): URL {
	return new URL(server.includes("://") ? server : `nats://${server}`);
}

/** Without user and password. */
function hostOf(server: string): string {
	return urlOf(server).host;
}
