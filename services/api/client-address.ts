import type { IncomingMessage } from "node:http";
import ipaddr from "ipaddr.js";
import proxyAddr from "proxy-addr";

/** A provider gives a customer a /64 network, in which any address may be used: the first four groups of 16 bits. */
const IPV6_NETWORK_GROUPS = 4;

/** Finds what a request is counted under: the client's IPv4 address, or its IPv6 network (/64). */
export type ClientAddress = (req: IncomingMessage) => string;

/**
 * Makes a {@link ClientAddress}. `X-Forwarded-For` is read from right to left and only as long as trusted proxies wrote
 * it, so what a client puts there itself has no effect.
 * @param trustedProxies addresses, CIDR ranges, or the names of `proxy-addr` (`loopback`, `linklocal`, `uniquelocal`)
 */
export function clientAddress(trustedProxies: readonly string[]): ClientAddress {
	const trusted = proxyAddr.compile([...trustedProxies]);
	return req => {
		const address = proxyAddr(req, trusted);
		try {
			const parsed = ipaddr.process(address);
			if (parsed.kind() === "ipv4") return parsed.toString();
			return `${(parsed as { parts: number[] }).parts.slice(0, IPV6_NETWORK_GROUPS).map(hex).join(":")}::/64`;
		} catch {
			// A proxy that writes no address, or a connection that is gone already: counted together.
			return "unknown";
		}
	};
}

function hex(group: number): string {
	return group.toString(16);
}
