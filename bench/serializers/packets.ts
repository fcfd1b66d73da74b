import { readFileSync } from "node:fs";
import { connect } from "nats";
import { NEW_NOTE, type Tokens } from "../compare/data.ts";
import type { System } from "../compare/systems.ts";

/** What went over NATS for one request, by what it was. */
export type Packets = Record<string, object>;

interface Packet {
	id: string;
	action?: string;
	success?: boolean;
}

/**
 * Asks a mesh on JSON for a list and a new note, and keeps the request to the note service and its response.
 * @param mesh its `MESH_NAME`
 */
export async function recordPackets(nats: string, mesh: string, { url }: System, tokens: Tokens): Promise<Packets> {
	const connection = await connect({ servers: nats });
	const seen: Packet[] = [];
	for (const type of ["REQ", "RES"])
		connection.subscribe(`MOL-${mesh}.${type}.>`, {
			callback: (_error, message) => seen.push(JSON.parse(message.string()) as Packet)
		});
	await connection.flush();
	const tokenOf = (file: string) => readFileSync(file, "utf8").split("\n", 1)[0];
	const ask = (path: string, token: string | undefined, body?: string) =>
		fetch(`${url}/v1/${path}`, {
			headers: { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) },
			...(body && { method: "POST", body })
		}).then(answer => answer.text());
	await ask("note/query", tokenOf(tokens.readers));
	await ask("note", tokenOf(tokens.writers), NEW_NOTE);
	await connection.flush();
	await connection.close();

	const packets: Packets = {};
	for (const [what, action] of Object.entries({ list: "note.query", "new note": "note.create" })) {
		const request = seen.find(packet => packet.action === action);
		const response = seen.find(packet => packet.id === request?.id && packet.success);
		if (!request || !response) throw new Error(`Nobody answered ${action}`);
		packets[`${what}, request`] = request;
		packets[`${what}, response`] = response;
	}
	return packets;
}
