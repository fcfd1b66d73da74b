import { channelsUrl, env } from "./env.ts";
import { natsOptions } from "./server-options.ts";

/**
 * The one table of durable streams and consumers. Whoever publishes or consumes first makes them so; names are never
 * reused for something else.
 */

const DAY_SECONDS = 86_400;

/** The stream and subject of audit records. */
export const AUDIT = { stream: "AUDIT", subject: "audit.recorded" } as const;

export const streams = [
	/** What was done and what was refused; nobody can delete from it. */
	{ name: AUDIT.stream, subjects: ["audit.>"], maxAge: 400 * DAY_SECONDS, appendOnly: true },
	/** Messages that a consumer has given up. */
	{ name: "DEAD", subjects: ["dead.>"], maxAge: 90 * DAY_SECONDS }
] as const;

export const consumers = [
	// An entry is never given up quickly: about an hour of attempts.
	{ name: "audit-log", ...AUDIT, orderBy: "source", together: 50, maxAttempts: 24 }
] as const;

/** What every service passes to its channels: where the streams are, and which there are. */
export const platform = {
	url: () => channelsUrl(env()),
	nats: () => natsOptions(env()),
	mesh: () => env().MESH_NAME,
	sealKeys: () => env().MESH_KEYS.map(({ secret }) => secret),
	streams,
	consumers
};

/** The payloads of durable messages by subject; each contract adds its own by declaration merging. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging in the contracts
export interface Messages {}

/** The payload of a message, for the type of a handler's context: `Context<Message<"audit.recorded">>`. */
export type Message<Subject extends keyof Messages> = Messages[Subject];
