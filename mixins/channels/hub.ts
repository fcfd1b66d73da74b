import { JetStreamTransport } from "./jetstream/transport.ts";
import { LocalTransport } from "./local/transport.ts";
import type { Log, Transport } from "./transport.ts";

/** A share of a transport. */
export interface SharedTransport {
	transport: Transport;
	/** Gives the share back; the last one closes the transport. Calling it again does nothing. */
	release(): Promise<void>;
}

const open = new Map<string, { transport: Transport; users: number }>();

/**
 * Gives a share of the transport of a URL, one per URL and process. Nothing is sent yet.
 * @param url `nats://[user:password@]host:4222[,more]`, or `file:<path>` for streams in a file of this process
 */
export function acquireTransport(url: string, log: Log): SharedTransport {
	const shared = open.get(url) ?? { transport: make(url, log), users: 0 };
	open.set(url, shared);
	shared.users++;
	let released: Promise<void> | undefined;
	const release = async () => {
		if (--shared.users > 0) return;
		open.delete(url);
		await shared.transport.close();
	};
	return { transport: shared.transport, release: () => (released ??= release()) };
}

function make(url: string, log: Log): Transport {
	if (url.startsWith("file:")) return new LocalTransport(url.slice("file:".length), log);
	if (/^(nats|tls):/.test(url)) return new JetStreamTransport(url, log);
	throw new Error("Unknown kind of channel URL (nats://... or file:... expected)");
}
