import { headers as emptyHeaders, type MsgHdrs } from "nats";
import { type Headers, headerValue } from "../transport.ts";

/** Set by the client library and the server; not part of the message. */
const INTERNAL = /^nats-/i;

/** The message's own headers by lower-case name. */
export function headersOf(received: MsgHdrs | undefined): Headers {
	if (!received) return {};
	const own = [...received].filter(([name]) => !INTERNAL.test(name));
	return Object.fromEntries(own.map(([name, values]) => [name.toLowerCase(), values[0] ?? ""]));
}

/** Headers as NATS sends them. A line break would end a header. */
export function natsHeaders(headers: Headers): MsgHdrs {
	const built = emptyHeaders();
	for (const [name, value] of Object.entries(headers)) built.set(name, headerValue(value));
	return built;
}
