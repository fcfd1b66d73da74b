import { createHmac, timingSafeEqual } from "node:crypto";
import type { Middleware, ServiceBroker } from "moleculer";
import type { SigningKey } from "./env-rules.ts";

const SEAL_BYTES = 32;

type Send = (topic: string, data: Buffer, meta: { packet: { type: string } }) => unknown;
type Receive = (type: string, packet: Buffer) => unknown;

/**
 * A middleware that seals every packet between nodes with an HMAC-SHA256 over the mesh's name, the packet's type and its
 * content, and drops packets without a valid seal before anything reads them. Whoever can reach the transporter but has
 * no key can neither call an action, nor emit an event, nor answer for a service: so whom a call is for
 * (`ctx.meta.user`) is as trustworthy as the nodes are. It hides nothing, which TLS does, and a recorded packet can be
 * sent once more: docs/adr/0005-seal-packets-not-identities.md.
 * @param keys the first seals, all open: to rotate, add the new key behind the old, swap them, drop the old one
 */
export function sealedPackets(keys: readonly SigningKey[]): Middleware {
	const [current] = keys;
	if (!current) throw new Error("No key to seal packets with");
	let namespace = "";
	let logger: ServiceBroker["logger"] | undefined;

	const seal = (secret: string, type: string, content: Buffer) =>
		createHmac("sha256", secret).update(`${namespace}\n${type}\n`).update(content).digest();

	const isSealed = (packet: Buffer, type: string) =>
		packet.length >= SEAL_BYTES &&
		keys.some(({ secret }) =>
			timingSafeEqual(packet.subarray(0, SEAL_BYTES), seal(secret, type, packet.subarray(SEAL_BYTES)))
		);

	const middleware = {
		name: "SealedPackets",

		created(broker: ServiceBroker) {
			namespace = broker.namespace;
			logger = broker.getLogger("sealed-packets");
		},

		transporterSend(next: Send): Send {
			return (topic, data, meta) =>
				next(topic, Buffer.concat([seal(current.secret, meta.packet.type, data), data]), meta);
		},

		transporterReceive(next: Receive): Receive {
			return (type, packet) => {
				if (isSealed(packet, type)) return next(type, packet.subarray(SEAL_BYTES));
				logger?.warn("A packet without a valid seal was dropped", { type });
				return undefined;
			};
		}
	};
	// moleculer's types give these two hooks the result of what they return.
	return middleware as unknown as Middleware;
}
