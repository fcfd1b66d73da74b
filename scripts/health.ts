/**
 * The HEALTHCHECK of the image: exits with 0 when the node of this container is ready, else with 1 and the reason.
 * The gateway is asked over HTTP. Any other node is asked over NATS for its service's `ready`, by one request packet of
 * moleculer's protocol, so that the check neither joins the mesh nor is answered by another replica.
 */
import { randomUUID } from "node:crypto";
import { isIPv6 } from "node:net";
import { basename } from "node:path";
import { connect } from "nats";
import { type Env, env } from "../lib/env.ts";
import { nodeName } from "../lib/node-name.ts";
import { packetSeals } from "../lib/sealed-packets.ts";
import { natsOptions } from "../lib/server-options.ts";

/** Less than the time-out of the HEALTHCHECK, so that the reason gets into the log. */
const TIMEOUT_MS = 4000;
/** `ServiceBroker.PROTOCOL_VERSION`; not imported, because loading moleculer takes longer than the check. */
const PROTOCOL = "5";

interface Response {
	success: boolean;
	error?: { message: string };
}

/** Listening on these means listening on all addresses of the machine. */
const ALL_ADDRESSES = ["0.0.0.0", "::"];

async function askGateway({ HOST, PORT }: Env): Promise<void> {
	const address = ALL_ADDRESSES.includes(HOST) ? "127.0.0.1" : HOST;
	const host = isIPv6(address) ? `[${address}]` : address;
	const answer = await fetch(`http://${host}:${PORT}/readyz`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
	if (!answer.ok) throw new Error(`Not ready: ${await answer.text()}`);
}

async function askNode(env: Env, service: string): Promise<void> {
	// A container's node is process 1.
	const node = nodeName(env, 1);
	const prefix = env.MESH_NAME ? `MOL-${env.MESH_NAME}` : "MOL";
	const sender = `health-${randomUUID()}`;
	const seals = env.MESH_KEYS.length > 0 ? packetSeals(env.MESH_KEYS, env.MESH_NAME) : undefined;

	const nats = await connect({ ...natsOptions(env), reconnect: false, timeout: TIMEOUT_MS });
	try {
		const responses = nats.subscribe(`${prefix}.RES.${sender}`, { max: 1, timeout: TIMEOUT_MS });
		const request = { id: sender, action: `${service}.ready`, params: {}, meta: {}, level: 1, tracing: false };
		const packet = Buffer.from(JSON.stringify({ ver: PROTOCOL, sender, ...request }));
		nats.publish(`${prefix}.REQ.${node}`, seals?.seal("REQ", packet) ?? packet);
		for await (const { data } of responses) {
			const answer = seals ? seals.open("RES", Buffer.from(data)) : data;
			if (!answer) throw new Error("The answer has no valid seal");
			const { success, error } = JSON.parse(Buffer.from(answer).toString()) as Response;
			if (!success) throw new Error(`Not ready: ${error?.message}`);
		}
	} finally {
		await nats.close();
	}
}

const service = basename(env().SERVICEDIR);
try {
	await (service === "api" || service === "services" ? askGateway(env()) : askNode(env(), service));
} catch (error) {
	console.error((error as Error).message);
	process.exitCode = 1;
}
