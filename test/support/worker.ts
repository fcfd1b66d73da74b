import type { ConsumerDefinition, Delivery } from "../../mixins/channels/transport.ts";
import { Worker } from "../../mixins/channels/worker.ts";

const definition = { name: "reader", stream: "FACTS", concurrency: 1 };
const full = () => {
	throw new Error("database or disk is full");
};

/** A message of a stream that can not write down what becomes of it. */
export function deliveryOf(changes: Partial<Delivery> = {}): Delivery {
	return {
		stream: "FACTS",
		seq: 1,
		subject: "fact",
		headers: {},
		data: "{}",
		time: 0,
		attempts: 1,
		ack: async () => {},
		retry: async () => full(),
		working: full,
		...changes
	};
}

/** A worker of a consumer that keeps the order of sources, one at a time where `changes` do not say otherwise, and what it warns of. */
export function workerOf(handle: (delivery: Delivery) => Promise<void>, changes: Partial<ConsumerDefinition> = {}) {
	const warnings: string[] = [];
	const observer = { redelivered() {}, buried() {}, warn: (message: string) => warnings.push(message) };
	const worker = new Worker({
		definition: { ...definition, orderBy: "source", ...changes },
		handle,
		bury: async () => {},
		observer
	});
	return { worker, warnings };
}
