import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { describe, it } from "node:test";
import { clientAddress } from "../../services/api/client-address.ts";

const request = (remoteAddress: string | undefined, forwarded?: string) =>
	({ socket: { remoteAddress }, headers: { "x-forwarded-for": forwarded } }) as unknown as IncomingMessage;

describe("The address that a request is counted under", () => {
	const cases: [
		what: string,
		trusted: string[],
		peer: string | undefined,
		forwarded: string | undefined,
		address: string
	][] = [
		["is the peer's where no proxy is trusted", [], "203.0.113.9", "1.2.3.4", "203.0.113.9"],
		["is what a trusted proxy says", ["10.0.0.0/8"], "10.1.2.3", "203.0.113.9", "203.0.113.9"],
		[
			"is the last one that a trusted proxy wrote, not what the client wrote before",
			["10.0.0.0/8"],
			"10.1.2.3",
			"1.2.3.4, 203.0.113.9",
			"203.0.113.9"
		],
		[
			"goes through several trusted proxies",
			["10.0.0.0/8"],
			"10.1.2.3",
			"1.2.3.4, 203.0.113.9, 10.9.9.9",
			"203.0.113.9"
		],
		["is the peer's where the peer is no trusted proxy", ["10.0.0.0/8"], "203.0.113.9", "10.1.2.3", "203.0.113.9"],
		["is the proxy's where it says nothing", ["loopback"], "127.0.0.1", undefined, "127.0.0.1"],
		["does not depend on how an IPv4 address is written", [], "::ffff:203.0.113.9", undefined, "203.0.113.9"],
		["is one for a whole IPv6 network", [], "2001:db8:1:2:3:4:5:6", undefined, "2001:db8:1:2::/64"],
		["is the same for another address of that network", [], "2001:db8:1:2:ffff::1", undefined, "2001:db8:1:2::/64"],
		["is not taken from text that is no address", ["loopback"], "127.0.0.1", "<script>", "unknown"],
		["is something for a connection that is gone", [], undefined, undefined, "unknown"]
	];
	for (const [what, trusted, peer, forwarded, address] of cases)
		it(what, () => {
			assert.equal(clientAddress(trusted)(request(peer, forwarded)), address);
		});
});
