import { createHmac, timingSafeEqual } from "node:crypto";
import type { Middleware, ServiceBroker } from "moleculer";
import type { NamedKey } from "./env-rules.ts";

const SEAL_BYTES = 32;

/** Seals packets, and opens those with a valid seal. */
interface PacketSeals {
	/** The packet with its seal before it. */
	seal(type: string, content: Buffer): Buffer;
	/** The packet without its seal, undefined where that is not valid. */
	open(type: string, packet: Buffer): Buffer | undefined;
}

/**
 * Seals with an HMAC-SHA256 over the mesh's name, the packet's type and its content.
 * @param keys the first seals, all open: to rotate, add the new key behind the old, swap them, drop the old one
 */
export function packetSeals(keys: readonly NamedKey[], namespace: string): PacketSeals {
	const [current] = keys;
	if (!current) throw new Error("No key to seal packets with");

	const sealOf = (secret: string, type: string, content: Buffer) =>
		createHmac("sha256", secret).update(`${namespace}\n${type}\n`).update(content).digest();

	return {
		seal: (type, content) => Buffer.concat([sealOf(current.secret, type, content), content]),

		open(type, packet) {
			if (packet.length < SEAL_BYTES) return undefined;
			const seal = packet.subarray(0, SEAL_BYTES);
			const content = packet.subarray(SEAL_BYTES);
			return keys.some(({ secret }) => timingSafeEqual(seal, sealOf(secret, type, content))) ? content : undefined;
		}
	};
}

type Send = (topic: string, data: Buffer, meta: { packet: { type: string } }) => unknown;
type Receive = (type: string, packet: Buffer) => unknown;

/**
 * A middleware that seals every packet between nodes (see {@link packetSeals}), and drops packets without a valid seal
 * before anything reads them. Whoever can reach the transporter but has no key can neither call an action, nor emit an
 * event, nor answer for a service: so on whose behalf a call is made (`ctx.meta.user`) is as trustworthy as the nodes
 * are. It hides nothing, which TLS does, and a recorded packet can be sent once more: docs/adr/0005-seal-packets-not-identities.md.
 * @param keys those of {@link packetSeals}; none: packets are not sealed
 */
export function sealedPackets(keys: readonly NamedKey[]): Middleware {
	if (keys.length === 0) return { name: "SealedPackets" };
	let seals = packetSeals(keys, "");
	let logger: ServiceBroker["logger"] | undefined;

	const middleware = {
		name: "SealedPackets",

		created(broker: ServiceBroker) {
			seals = packetSeals(keys, broker.namespace);
			logger = broker.getLogger("sealed-packets");
		},

		transporterSend(next: Send): Send {
			return (topic, data, meta) => next(topic, seals.seal(meta.packet.type, data), meta);
		},

		transporterReceive(next: Receive): Receive {
			return (type, packet) => {
				const content = seals.open(type, packet);
				if (content) return next(type, content);
				logger?.warn("A packet without a valid seal was dropped", { type });
				return undefined;
			};
		}
	};
	// moleculer's types give these two hooks the result of what they return.
	return middleware as unknown as Middleware;
}
