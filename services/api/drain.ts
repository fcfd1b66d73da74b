import type { RequestListener, Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { connectionsOf } from "./connections.ts";

/** How long requests under way may take when the server closes, in milliseconds. */
const FINISH_MS = 10_000;

/** How long a server takes its time to close, in milliseconds. */
interface DrainTimes {
	/** For those who send requests to notice that it drains. */
	notice: number;
	/** For requests under way; what takes longer is cut off. Default 10 000. */
	finish?: number;
}

/**
 * Puts itself before a listener for requests. While the broker stops, each answer ends its connection: the client's next
 * request goes to another gateway, and not into a connection that is about to be closed.
 */
export function untilDraining(broker: ServiceBroker, listener: RequestListener): RequestListener {
	return (req, res) => {
		if (!broker.started) res.setHeader("Connection", "close");
		listener(req, res);
	};
}

/**
 * Prepares a server, before it listens, to be closed so that no request is lost.
 * @returns closes it: the server goes on as before for a while, then takes no more connections and finishes what is under way
 */
export function drainable(server: Server): (times: DrainTimes) => Promise<void> {
	const connections = connectionsOf(server);
	return async ({ notice, finish = FINISH_MS }) => {
		if (!server.listening) return;
		// A connection that becomes idle after the server was closed would be kept.
		for (const answers of connections.values()) {
			const last = answers.at(-1);
			if (last?.headersSent === false) last.setHeader("Connection", "close");
		}
		await delay(notice);
		const closed = new Promise<void>(resolve => server.close(() => resolve()));
		// Browsers and proxies open connections ahead of their requests. Node waits for the first request of each.
		for (const socket of connections.keys()) if (socket.bytesRead === 0) socket.destroy();
		const cutOff = setTimeout(() => server.closeAllConnections(), finish);
		await closed;
		clearTimeout(cutOff);
	};
}
