import { createServer } from "node:net";

// Below the kernel's ephemeral range (32768 on Linux, 49152 on macOS): no outgoing connection can take the port of a
// server that is down for a moment.
const FIRST_PORT = 20_000;
const PORTS = 12_000;
const PORTS_PER_PROCESS = 32;

let handedOut = 0;

/**
 * Finds a TCP port of 127.0.0.1 that nobody listens on and that this process has not handed out before. Processes
 * that run at the same time search different stretches, so parallel test files do not race for one port.
 *
 * @throws Error when all ports of the range are taken
 */
export async function freePort(): Promise<number> {
	for (let attempt = 0; attempt < PORTS; attempt++) {
		const port = FIRST_PORT + ((process.pid * PORTS_PER_PROCESS + handedOut++) % PORTS);
		if (await isFree(port)) return port;
	}
	throw new Error(`No free port between ${FIRST_PORT} and ${FIRST_PORT + PORTS - 1}`);
}

/** Tells whether nobody listens on this TCP port of 127.0.0.1. */
export function isFree(port: number): Promise<boolean> {
	return new Promise(resolve => {
		const probe = createServer();
		probe.once("error", () => resolve(false));
		probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
	});
}
