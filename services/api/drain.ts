import type { RequestListener, Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";

/** How long requests under way may take when the server closes, in milliseconds. */
const FINISH_MS = 10_000;

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
 * Closes a server so that no request is lost: goes on as before for a while, since those who send requests have to
 * notice that it drains, then takes no more connections and finishes what is under way. Bounded: what takes longer than
 * 10 s is cut off.
 * @param notice milliseconds
 */
export async function drainHttp(server: Server, { notice }: { notice: number }): Promise<void> {
	if (!server.listening) return;
	await delay(notice);
	const closed = new Promise<void>(resolve => server.close(() => resolve()));
	const cutOff = setTimeout(() => server.closeAllConnections(), FINISH_MS);
	await closed;
	clearTimeout(cutOff);
}
