/** What moleculer passes along with a serialized packet. */
export interface Packet {
	type: string;
	target?: string | null;
	payload: { id?: string; timeout?: number | null };
}

/** What a request or ping says of itself in its reply subject. */
export interface Sent {
	type: string;
	/** Undefined for a request that NATS balances. */
	target: string | undefined;
	id: string;
	/** Undefined in a ping, and so are the others below. */
	sender: string | undefined;
	/** Epoch milliseconds of the sender's clock. */
	sentAt: number;
	/** Milliseconds; infinite without a timeout. */
	timeout: number;
	/** It is for one process, and not for whoever has its node's id. */
	direct: boolean;
}

const DIRECT = "direct";
const NO_TARGET = "-";
const INBOX_TOKENS = 2;

/**
 * Makes the reply subject of a request or ping. The only reply that ever comes is NATS' own "no responders". The subject
 * also carries the request's sender, time and time-out, since headers would take as long to write and read as the packet.
 *
 * @param request says who sends it, and whether to one process; undefined for a ping
 */
export function replySubject(inbox: string, packet: Packet, request?: { sender: string; direct: boolean }): string {
	const { type, target, payload } = packet;
	const parts = [inbox, type, target ? encode(target) : NO_TARGET, encode(payload.id ?? "")];
	if (request) {
		// A fraction's point would end the token.
		const limit = Math.max(0, Math.ceil(payload.timeout ?? 0));
		parts.push(encode(request.sender), String(Date.now()), String(limit));
		if (request.direct) parts.push(DIRECT);
	}
	return parts.join(".");
}

/** Reads what `replySubject` wrote; undefined for anything else. */
export function readReplySubject(subject: string): Sent | undefined {
	const [type, target, id, sender, departure, limit, direct] = subject.split(".").slice(INBOX_TOKENS);
	if (!type || !target || id === undefined) return undefined;
	return {
		type,
		target: target === NO_TARGET ? undefined : decode(target),
		id: decode(id),
		sender: sender && decode(sender),
		sentAt: Number(departure),
		timeout: Number(limit) || Number.POSITIVE_INFINITY,
		direct: direct === DIRECT
	};
}

function encode(text: string): string {
	return Buffer.from(text).toString("base64url");
}

function decode(text: string): string {
	return Buffer.from(text, "base64url").toString();
}
