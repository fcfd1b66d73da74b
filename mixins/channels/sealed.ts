import { createHmac, timingSafeEqual } from "node:crypto";
import { type Headers, headerValue, type OutgoingMessage, type StoredMessage, type Transport } from "./transport.ts";

const SEAL = "x-seal";

/** What a seal is made over: whatever a consumer gets to see, but for what the stream adds. */
type Content = Pick<OutgoingMessage, "stream" | "subject" | "headers" | "data">;

/**
 * Seals what is published, with an HMAC-SHA256 over stream, subject, headers and data, and marks what comes without a valid
 * seal as `unsealed`. Message ids are sealed, too: of two messages with one id a stream drops the second, so who can guess
 * an id could have the real message dropped. It hides nothing, and a recorded message can be published once more: consumers
 * know its event id.
 * @param keys secrets; the first seals, all are valid
 */
export function sealed(transport: Transport, keys: readonly [string, ...string[]]): Transport {
	const opened = <Message extends StoredMessage>({ headers: received, ...message }: Message): Message => {
		const { [SEAL]: seal = "", ...headers } = received;
		const isValid = keys.some(key => isEqual(sealOf(key, { ...message, headers }), seal));
		return { ...message, headers, ...(!isValid && { unsealed: true }) } as Message;
	};
	return {
		declareStream: definition => transport.declareStream(definition),
		declareConsumer: definition => transport.declareConsumer(definition),
		publish(message) {
			const headers = asReceived(message.headers);
			const id = `${message.id}:${hmac(keys[0], "id\n", message.id)}`;
			const seal = sealOf(keys[0], { ...message, headers });
			return transport.publish({ ...message, id, headers: { ...headers, [SEAL]: seal } });
		},
		subscribe: (definition, declare, accept) =>
			transport.subscribe(definition, declare, delivery => accept(opened(delivery))),
		streamState: stream => transport.streamState(stream),
		consumerState: definition => transport.consumerState(definition),
		async next(stream, seq, subject) {
			const message = await transport.next(stream, seq, subject);
			return message && opened(message);
		},
		remove: (stream, seq) => transport.remove(stream, seq),
		onReconnect: listener => transport.onReconnect(listener),
		close: () => transport.close()
	};
}

/** Headers as a consumer will get them. */
function asReceived(headers: Headers): Headers {
	const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), headerValue(value)] as const);
	return Object.fromEntries(own.filter(([name]) => name !== SEAL));
}

function sealOf(key: string, { stream, subject, headers, data }: Content): string {
	return hmac(key, JSON.stringify([stream, subject, Object.entries(headers).sort()]), data);
}

/** Of two texts of which the first tells by itself where it ends. */
function hmac(key: string, first: string, second: string): string {
	return createHmac("sha256", key).update(first).update(second).digest("base64url");
}

function isEqual(expected: string, given: string): boolean {
	const [a, b] = [Buffer.from(expected), Buffer.from(given)];
	return a.length === b.length && timingSafeEqual(a, b);
}
