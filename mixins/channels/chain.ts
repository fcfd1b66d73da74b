import type { Delivery } from "./transport.ts";

/** Messages of one key that wait for each other. */
export interface Chain {
	queue: Delivery[];
	/** The message whose retry the others wait for. */
	retrying?: { seq: number; timer: NodeJS.Timeout };
	/** Messages that came too early, the oldest version first. */
	early: Delivery[];
	/** Since when there are some, in milliseconds of this process. */
	since?: number;
	/** Nothing runs: the first of the early ones is tried when the time is over. */
	waiting?: NodeJS.Timeout;
}

/** Keeps a message that came too early. */
export function insertEarly({ early }: Chain, delivery: Delivery): void {
	early.push(delivery);
	early.sort((a, b) => versionOf(a) - versionOf(b));
}

/** Whether a message has an earlier version than another one of its aggregate. */
export function isBefore(delivery: Delivery, other: Delivery): boolean {
	return versionOf(delivery) < versionOf(other);
}

function versionOf({ headers, seq }: Delivery): number {
	return Number(headers.version ?? seq);
}
