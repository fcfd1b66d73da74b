import type { Delivery } from "./transport.ts";

/** What a worker counts and tells. */
export interface Observer {
	/** A message came again. */
	redelivered(delivery: Delivery): void;
	/** A message will not be tried again. */
	buried(delivery: Delivery, error: unknown): void;
	warn(message: string, error?: unknown): void;
	/** For tests: called at named points of the way; what it throws or does not return from happens there. */
	probe?(point: ProbePoint, delivery: Delivery): void | Promise<void>;
}

/** Where a consumer can be interrupted. */
export type ProbePoint = "fetched" | "handled" | "acknowledged";
