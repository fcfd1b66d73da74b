import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Takes spans and throws them away: a collector has a machine of its own. */
export interface Sink {
	url: string;
	/** How much has come. */
	bytes: number;
	close(): void;
}

export async function startSink(): Promise<Sink> {
	const server = createServer((request, response) => {
		request.on("data", chunk => {
			sink.bytes += chunk.length;
		});
		request.on("end", () => response.writeHead(202).end());
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	const { port } = server.address() as AddressInfo;
	const sink: Sink = {
		url: `http://127.0.0.1:${port}/api/traces`,
		bytes: 0,
		close() {
			server.closeAllConnections();
			server.close();
		}
	};
	return sink;
}
