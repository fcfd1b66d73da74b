import { Errors, type ServiceBroker } from "moleculer";

/** A packet of moleculer, as far as it matters here. */
interface AnswerPacket {
	type: string;
	payload: { stream?: boolean };
}

/** Whether NATS did not take a packet for its size, and it is a whole answer: a part of a stream has no place for an error. */
export function isAnswerTooLarge({ type, payload }: AnswerPacket, error: unknown): boolean {
	return (error as { code?: unknown }).code === "MAX_PAYLOAD_EXCEEDED" && type === "RES" && !payload.stream;
}

/** Puts an error in the place of an answer's data: without any answer, the caller would wait for its deadline. */
export function refuseAnswer({ payload }: AnswerPacket, { errorRegenerator }: ServiceBroker): void {
	// Not retryable: another node's answer would be as large.
	const error = new Errors.MoleculerError("The answer is larger than the max_payload of NATS", 500, "ANSWER_TOO_LARGE");
	Object.assign(payload, { success: false, data: null, error: errorRegenerator?.extractPlainError(error) });
}
