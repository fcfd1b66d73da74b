import type { ConnectionOptions } from "nats";
import { connectionOptions } from "./jetstream/connection.ts";
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
 * @param nats how to reach that NATS, instead of what the URL says: TLS files, credentials. Of several users of one URL, the
 *   first decides
 */
export function acquireTransport(url: string, log: Log, nats?: () => ConnectionOptions): SharedTransport {
	const shared = open.get(url) ?? { transport: make(url, log, nats), users: 0 };
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

function make(url: string, log: Log, nats: (() => ConnectionOptions) | undefined): Transport {
	if (url.startsWith("file:")) return new LocalTransport(url.slice("file:".length), log);
	if (/^(nats|tls):/.test(url)) return new JetStreamTransport(nats ?? (() => connectionOptions(url)), log);
	throw new Error("Unknown kind of channel URL (nats://... or file:... expected)");
}
